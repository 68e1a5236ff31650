"""Fifth stage: claim the job in the records, admit it, start it; safe to repeat at every point.

A crash after the claim and before the start leaves a record without a running job; the next call
with the same key admits and starts it. A crash after the start changes nothing: the job runs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mcp_cloud_agents.delegation.books import PROGRAM
from mcp_cloud_agents.domain.errors import (
    AgentsError,
    BackendUnavailable,
    JobCorrupt,
    UnknownJob,
)
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.audit import Action
from mcp_cloud_agents.ports.records import Record

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.records import Records

T = TypeVar("T")


class Submitter:
    """Brings a specification to its backend, once, when it may."""

    def __init__(
        self, records: Records, places: Places, admission: Admission, books: Books
    ) -> None:
        self._records = records
        self._places = places
        self._admission = admission
        self._books = books
        self._threads = anyio.CapacityLimiter(4)

    async def repeated(self, request: Request) -> Record | None:
        """The job that was claimed under this key before, started if a crash prevented that."""
        if request.key is None:
            return None
        found = await self._call(partial(self._records.by_key, request.key))
        if found is not None:
            await self._go_on(found, request)
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

    async def submit(self, spec: JobSpec, place: Place, request: Request) -> Record:
        """Claim, admit, start; what is returned may be the job of another who was faster.

        Raises:
            BackendUnavailable: nothing was started; claim and money were given back.
            AgentsError: those of `Admission.admit`; the same.
        """
        mine = Record(spec=spec, backend=place.name)
        record = await self._call(partial(self._records.claim, mine))
        if record.spec.id == spec.id:
            await self._admit(record, request)
        else:
            await self._go_on(record, request)
        return record

    async def begin(self, record: Record) -> None:
        """Start a job that was admitted. Raises BackendUnavailable: all was given back."""
        try:
            await self._places.of(record.backend).backend.submit(record.spec)
        except BackendUnavailable as exc:
            give_back = partial(
                self._books.give_back, record, Action.RELEASED, PROGRAM, reason=exc.message
            )
            await self._call(give_back)
            await self._call(partial(self._records.forget, [record.spec.id]))
            raise

    async def _go_on(self, record: Record, request: Request) -> None:
        """Do what a crash may have left undone for a job that was claimed."""
        try:
            await self._places.of(record.backend).backend.status(record.spec.id)
        except UnknownJob:
            await self._admit(record, request)
        except JobCorrupt:
            return
        else:
            await self._places.of(record.backend).backend.submit(record.spec)

    async def _admit(self, record: Record, request: Request) -> None:
        place = self._places.of(record.backend)
        admit = partial(self._admission.admit, record, place, request.actor, request.wish.paths)
        try:
            question = await self._call(admit)
        except AgentsError:
            await self._call(partial(self._records.forget, [record.spec.id]))
            raise
        if question is None or question.answer is Answer.APPROVED:
            await self.begin(record)

    async def _call(self, work: partial[T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
