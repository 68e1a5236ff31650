"""Fifth stage: claim the job in the records, admit it, start it; safe to repeat at every point.

A crash after the claim and before the start leaves a record without a running job; the next call
with the same key admits and starts it. A crash after the start changes nothing: the job runs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mcp_cloud_agents.delegation.books import PROGRAM
from mcp_cloud_agents.domain.errors import (
    AgentsError,
    BackendUnavailable,
    BadRequest,
    IsolationUnavailable,
    JobCorrupt,
    Stopped,
    UnknownJob,
)
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.resilience.deadline import deadline_for

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.approve import Approver
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.domain.actor import Actor
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.approvals import Question
    from mcp_cloud_agents.ports.records import Records

T = TypeVar("T")
REFUSALS = (BackendUnavailable, IsolationUnavailable, BadRequest)
"""Of a backend: nothing was started. After anything else nobody knows."""
_MAY_NOT_HAVE_BEGUN = (JobState.QUEUED, JobState.LOST)
"""To start a job twice does no harm, but would tell the audit twice that it gets secrets."""
_MAY_START = (Answer.WAITING, Answer.APPROVED)


class Submitter:
    """Brings a specification to its backend, once, when it may."""

    def __init__(
        self,
        records: Records,
        places: Places,
        admission: Admission,
        approver: Approver,
        books: Books,
    ) -> None:
        self._records = records
        self._places = places
        self._admission = admission
        self._approver = approver
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
        """A job that does the same work and has not ended, or waits for a person."""
        for record in await self._call(partial(self._records.same_work, spec.digest)):
            if await self._is_under_way(record):
                return record
        return None

    async def _is_under_way(self, record: Record) -> bool:
        try:
            status = await self._places.of(record.backend).backend.status(record.spec.id)
        except UnknownJob:
            question = await self._call(partial(self._approver.question, record))
            return question is not None and question.answer in _MAY_START
        except (JobCorrupt, BackendUnavailable):
            return False
        return not status.state.done

    async def submit(self, spec: JobSpec, place: Place, request: Request) -> Record:
        """Claim, admit, start; what is returned may be the job of another who was faster.

        Raises:
            BackendUnavailable: nothing was started; claim and money were given back.
            AgentsError: those of `Admission.admit`; the same.
        """
        mine = Record(spec=spec, backend=place.name)
        record = await self._call(partial(self._records.claim, mine))
        if record.spec.id != spec.id:
            await self._go_on(record, request)
            return record
        try:
            starts = await self._admitted(record, request)
        except AgentsError:
            await self._call(partial(self._records.forget, [record.spec.id]))
            raise
        if starts:
            await self.begin(record, request.actor)
        return record

    async def approved(self, record: Record, question: Question) -> None:
        """Start a job that a person agreed to.

        Raises:
            Stopped, OverBudget, LedgerUnusable, AuditUnusable: it must not start now.
            BackendUnavailable: it cannot; its money was given back. The next look tries again.
        """
        place = self._places.of(record.backend)
        await self._call(partial(self._approver.ready, record, place, question))
        try:
            await self._start(record)
        except REFUSALS as exc:
            await self._give_back(record, exc.message)
            raise

    async def _give_back(self, record: Record, reason: str) -> None:
        await self._call(partial(self._books.not_started, record, reason=reason))

    async def begin(self, record: Record, actor: Actor = PROGRAM) -> None:
        """Start a job that was admitted. Raises BackendUnavailable: all was given back."""
        try:
            await self._start(record, actor)
        except REFUSALS as exc:
            await self._give_back(record, exc.message)
            await self._call(partial(self._records.forget, [record.spec.id]))
            raise

    async def _start(self, record: Record, actor: Actor = PROGRAM) -> None:
        """Its time counts from now: not while a person was asked.

        Who stops everything may have looked for jobs just before this one was there to be found.
        """
        spec = record.spec
        if spec.secrets:
            await self._call(partial(self._tell_of_secrets, record, actor))
        at = deadline_for(spec.limits, spec.setup.commands, self._books.clock.now())
        backend = self._places.of(record.backend).backend
        await backend.submit(replace(spec, deadline_at=at))
        try:
            await self._call(partial(self._admission.check_stopped))
        except Stopped:
            await backend.cancel(spec.id)

    def _tell_of_secrets(self, record: Record, actor: Actor) -> None:
        """Names and where they lie: never values."""
        given = tuple((one.name, one.source) for one in record.spec.secrets)
        entry = Entry(at=0, action=Action.SECRETS, actor=actor, details=given)
        self._books.note(Action.SECRETS, record, actor, entry)

    async def _go_on(self, record: Record, request: Request) -> None:
        """Do what a crash may have left undone for a job that was claimed.

        Nothing is forgotten when it may not start: who claimed it may be starting it right now.
        """
        backend = self._places.of(record.backend).backend
        try:
            status = await backend.status(record.spec.id)
        except UnknownJob:
            await self._admit_again(record, request)
        except JobCorrupt:
            return
        else:
            if status.state in _MAY_NOT_HAVE_BEGUN:
                await self._start(record, request.actor)

    async def _admit_again(self, record: Record, request: Request) -> None:
        """A job that was asked about is not decided again: its question stands."""
        question = await self._call(partial(self._approver.resume, record, request.actor))
        if question is None:
            if await self._admitted(record, request):
                await self.begin(record, request.actor)
        elif question.answer is Answer.APPROVED:
            await self.approved(record, question)

    async def _admitted(self, record: Record, request: Request) -> bool:
        """Whether it starts now; else a person is asked."""
        place = self._places.of(record.backend)
        question = await self._call(partial(self._admission.admit, record, place, request.actor))
        return question is None or question.answer is Answer.APPROVED

    async def _call(self, work: partial[T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
