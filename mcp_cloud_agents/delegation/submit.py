"""Fourth stage: claim the job in the records, then start it; safe to repeat at every point.

A crash after the claim and before the start leaves a record without a running job; the next call
with the same key starts it. A crash after the start changes nothing: the job runs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mcp_cloud_agents.domain.errors import BackendUnavailable, JobCorrupt, UnknownJob
from mcp_cloud_agents.ports.records import Record

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.records import Records

T = TypeVar("T")


class Submitter:
    """Brings a specification to its backend, once."""

    def __init__(self, records: Records, places: Places) -> None:
        self._records = records
        self._places = places
        self._threads = anyio.CapacityLimiter(4)

    async def repeated(self, key: str | None) -> Record | None:
        """The job that was claimed under this key before, started if a crash prevented that."""
        if key is None:
            return None
        found = await self._call(partial(self._records.by_key, key))
        if found is not None:
            await self._places.of(found.backend).backend.submit(found.spec)
        return found

    async def under_way(self, spec: JobSpec) -> Record | None:
        """A job that does the same work and has not ended."""
        for record in await self._call(partial(self._records.same_work, spec.digest)):
            try:
                backend = self._places.of(record.backend).backend
                status = await backend.status(record.spec.id)
            except (UnknownJob, JobCorrupt, BackendUnavailable):
                continue
            if not status.state.done:
                return record
        return None

    async def submit(self, spec: JobSpec, place: Place) -> Record:
        """Claim and start; what is returned may be the job of another who was faster.

        Raises:
            BackendUnavailable: nothing was started, and the claim was given back.
        """
        mine = Record(spec=spec, backend=place.name)
        record = await self._call(partial(self._records.claim, mine))
        try:
            await self._places.of(record.backend).backend.submit(record.spec)
        except BackendUnavailable:
            await self._call(partial(self._records.forget, [record.spec.id]))
            raise
        return record

    async def _call(self, work: partial[T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
