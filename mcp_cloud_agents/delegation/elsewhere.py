"""Jobs that no record of this machine has: a shared place tells what other machines submitted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed, JobCorrupt, UnknownJob
from mcp_cloud_agents.ports.records import Record

if TYPE_CHECKING:
    from collections.abc import Collection

    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.domain.job import JobId

_log = logging.getLogger(__name__)
_MAX_KEPT = 1_000


class Elsewhere:
    """Finds jobs by asking the places themselves; a specification never changes, so it is kept."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._found: dict[JobId, Record] = {}

    async def find(self, job_id: JobId) -> Record | None:
        """The job, wherever it is; None when no place has it.

        Raises:
            JobCorrupt: what is stored of it was damaged.
            BackendFailed: a place could not be asked, so nobody knows.
        """
        if job_id in self._found:
            return self._found[job_id]
        for place in self._places.all:
            try:
                return self._keep(Record(spec=await place.backend.spec(job_id), backend=place.name))
            except UnknownJob:
                continue
        return None

    async def latest(self, known: Collection[JobId], *, limit: int) -> list[Record]:
        """The newest jobs of shared places that are not known yet; one that is away has none."""
        found: list[Record] = []
        for place in self._places.shared:
            try:
                job_ids = await place.backend.job_ids(limit=limit)
            except BackendFailed as exc:
                _log.warning("jobs_elsewhere_unknown: %s: %s", place.name, exc.message)
                continue
            for job_id in job_ids:
                record = None if job_id in known else await self._readable(place, job_id)
                found += [record] if record else []
        return found

    async def _readable(self, place: Place, job_id: JobId) -> Record | None:
        try:
            return self._found.get(job_id) or self._keep(
                Record(spec=await place.backend.spec(job_id), backend=place.name)
            )
        except (UnknownJob, JobCorrupt, BackendFailed):
            return None

    def _keep(self, record: Record) -> Record:
        if len(self._found) >= _MAX_KEPT:
            self._found.clear()
        self._found[record.spec.id] = record
        return record
