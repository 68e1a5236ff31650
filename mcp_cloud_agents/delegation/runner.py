"""The way of one job, from request to view; the stages are the files beside this one.

validate ─ roots ─ pack ─ submit (claim ─ admit ─ start) ─ observe ─ collect ─ settle
                                     └─ waiting ─ approve
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_cloud_agents.delegation.apply import Applier
from mcp_cloud_agents.delegation.approve import Approver, Word, withdrawn
from mcp_cloud_agents.delegation.books import PROGRAM
from mcp_cloud_agents.delegation.collect import collect
from mcp_cloud_agents.delegation.elsewhere import Elsewhere
from mcp_cloud_agents.delegation.observe import observe, observe_question
from mcp_cloud_agents.delegation.roots import check_root, scoped_key
from mcp_cloud_agents.delegation.settle import Settler
from mcp_cloud_agents.delegation.start import REPEATED, Starter
from mcp_cloud_agents.delegation.submit import Submitter
from mcp_cloud_agents.delegation.validate import validate
from mcp_cloud_agents.delegation.waiting import (
    LOOK_EVERY_S,
    NO_LOG,
    Polled,
    status_of,
    waiting_view,
)
from mcp_cloud_agents.domain.errors import (
    AuditUnusable,
    BadConfig,
    LedgerUnusable,
    NotAllowed,
    NothingToApprove,
    OverBudget,
    UnknownJob,
)
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.audit import Action

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.apply import ApplyOrder
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Places
    from mcp_cloud_agents.delegation.request import JobView, Request
    from mcp_cloud_agents.domain.actor import Actor
    from mcp_cloud_agents.domain.applied import Applied
    from mcp_cloud_agents.domain.job import JobId, Origin
    from mcp_cloud_agents.domain.money import Estimate
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.governance.approval import GrantWish
    from mcp_cloud_agents.ports.approvals import Grant, Question
    from mcp_cloud_agents.ports.backend import Backend, Bytes, Watch
    from mcp_cloud_agents.ports.patches import Patches
    from mcp_cloud_agents.ports.records import Record, Records

T = TypeVar("T")
_NOT_NOW = (NotAllowed, LedgerUnusable, AuditUnusable, NothingToApprove, BadConfig)
"""Why a job that a person agreed to waits on."""


async def _nobody(_: JobStatus) -> None:
    """Nobody listens."""


class JobRunner:
    """Runs subagents on snapshots. The one way to run a job: tools, commands, patterns call it."""

    def __init__(
        self,
        *,
        places: Places,
        records: Records,
        patches: Patches,
        roots: Sequence[str],
        admission: Admission,
        books: Books,
    ) -> None:
        self._places = places
        self._books = books
        self._applier = Applier(patches, books)
        self._approver = Approver(books, admission)
        self._settler = Settler(books, places, admission)
        self._submitter = Submitter(records, places, admission, self._approver, books)
        self._starter = Starter(places, self._submitter, admission, self.sweep)
        self._elsewhere = Elsewhere(places)
        self._records = records
        self._roots = tuple(roots)
        self._reading = anyio.CapacityLimiter(4)

    async def submit(self, request: Request) -> JobView:
        """Start a job, or find the one that is this request already; durable when it returns.

        Raises:
            BadRequest: see its subclasses; nothing was started.
            IsolationUnavailable: the sandbox asked for does not start here.
            NotAllowed: policy, budget or a stop says no; nothing was started, no money is held.
            LedgerUnusable, AuditUnusable: nobody can say what may be spent, or write it down.
            StateUnusable, NoSpace, BackendFailed: calling again with the same key is safe.
        """
        validate(request)
        self._places.candidates(request.backend)  # a wrong name is told before anything is done
        origin = await self._admitted(request.workspace)
        request = replace(request, key=scoped_key(request.key, origin))
        if (record := await self._submitter.repeated(request)) is not None:
            return await self._view(record, REPEATED)
        return await self._view(*await self._starter.start(request, origin))

    async def estimate(self, request: Request) -> Estimate:
        """What a job may cost, without starting it. Raises what `submit` raises of its request."""
        validate(request)
        return await self._starter.estimate(request, await self._admitted(request.workspace))

    async def sweep(self) -> int:
        """Settle what jobs did cost that ended unseen, free what never began; how many.

        Raises:
            LedgerUnusable: nobody can say what is open.
        """
        return await self._settler.sweep(self.look)

    async def questions(self) -> tuple[Question, ...]:
        """What waits for a person, oldest first."""
        now = self._books.clock.now()
        return await self._read(partial(self._books.approvals.waiting, now=now))

    async def grants(self) -> tuple[Grant, ...]:
        """Approvals of further jobs that still hold."""
        return await self._read(partial(self._approver.grants))

    async def revoke(self, grant_id: str, *, actor: Actor) -> Grant | None:
        """Take such an approval back; None: there is none of this id."""
        return await self._read(partial(self._approver.revoke, grant_id, actor))

    async def answer(
        self,
        job_id: JobId,
        answer: Answer,
        *,
        actor: Actor,
        why: str = "",
        grant: GrantWish | None = None,
    ) -> JobView:
        """Pass on a person's word about a job that waits; one that was approved starts.

        Raises:
            NothingToApprove: it does not wait, or another answer was first.
            Stopped, OverBudget: it cannot start now; the question stays open.
            UnknownJob.
        """
        record = await self._record(job_id)
        word = Word(answer=answer, actor=actor, why=why, grant=grant)
        answered = partial(self._approver.answer, record, self._places.of(record.backend), word)
        try:
            await self._read(answered)
        except OverBudget:
            if not await self.sweep():
                raise
            await self._read(answered)
        return await self._view(record)

    async def hold(self, job_id: JobId, *, actor: Actor, why: str) -> JobView:
        """Free the money of a waiting job; its question stays open. Raises NothingToApprove."""
        record = await self._record(job_id)
        await self._read(partial(self._approver.hold, record, actor, why=why))
        return await self._view(record)

    async def look(self, job_id: JobId) -> JobView:
        """What is known of a job now. Raises UnknownJob, JobCorrupt."""
        return await self._view(await self._record(job_id))

    async def wait(
        self,
        job_id: JobId,
        *,
        timeout_s: float,
        on_change: Callable[[JobStatus], Awaitable[None]] = _nobody,
    ) -> JobView:
        """Look once the job is done, or the time is up. Raises UnknownJob, JobCorrupt."""
        record = await self._record(job_id)
        with anyio.move_on_after(timeout_s):
            await self._observe(record, timeout_s, on_change)
        return await self._view(record)

    async def _observe(
        self, record: Record, timeout_s: float, on_change: Callable[[JobStatus], Awaitable[None]]
    ) -> None:
        follow = partial(observe, timeout_s=timeout_s, on_change=on_change)
        backend = self._places.of(record.backend).backend
        try:
            await follow(backend, record.spec.id)
        except UnknownJob:
            await observe_question(partial(self._question, record), on_change=on_change)
            while (view := await self._view(record)).question is not None:
                if view.status.state.done:
                    return
                await anyio.sleep(LOOK_EVERY_S)  # somebody agreed, and something is in its way
            await follow(backend, record.spec.id)

    async def latest(self, *, workspace: str | None, limit: int) -> tuple[Record, ...]:
        """The newest jobs, of one workspace or of all. Raises NotAWorktree."""
        top = None if workspace is None else (await self._locate(workspace)).workspace
        here = await self._read(partial(self._records.latest, workspace=top, limit=limit))
        known = {record.spec.id for record in here}
        others = [
            record
            for record in await self._elsewhere.latest(known, limit=limit)
            if top in (None, record.spec.snapshot.origin.workspace)
        ]
        newest_first = sorted((*here, *others), key=lambda record: record.spec.id, reverse=True)
        return tuple(newest_first[:limit])

    async def status(self, job_id: JobId) -> JobStatus:
        """The state alone. Raises UnknownJob, JobCorrupt."""
        record = await self._record(job_id)
        try:
            return await self._places.of(record.backend).backend.status(job_id)
        except UnknownJob:
            if (question := await self._question(record)) is None:
                raise
            return status_of(question)

    async def cancel(self, job_id: JobId, actor: Actor = PROGRAM) -> JobView:
        """Ask a job to end, and look. Raises UnknownJob, JobCorrupt."""
        (view,) = await self.cancel_all([job_id], actor)
        return view

    async def cancel_all(
        self, job_ids: Sequence[JobId], actor: Actor = PROGRAM
    ) -> tuple[JobView, ...]:
        """Ask jobs to end, many with one call where the place knows one, and look at each.

        Raises:
            UnknownJob, JobCorrupt: of one of them; nothing was asked.
            BackendFailed: some may have been asked; calling again is safe.
        """
        records = [await self._record(job_id) for job_id in job_ids]
        started = [one for one in records if not await self._given_up(one, actor)]
        for record in started:
            await self._read(partial(self._books.note, Action.CANCELLED, record, actor))
        for name in dict.fromkeys(record.backend for record in started):
            there = [record.spec.id for record in started if record.backend == name]
            await self._places.of(name).backend.cancel_many(there)
        return tuple([await self._view(record) for record in records])

    async def _given_up(self, record: Record, actor: Actor) -> bool:
        """Whether a job waited for a person, and does no more."""
        question = await self._question(record)
        if question is None or question.answer is not Answer.WAITING:
            if question is not None and question.answer is Answer.APPROVED:
                return await self._taken_back(record, actor)
            return question is not None
        word = withdrawn(actor)
        place = self._places.of(record.backend)
        try:
            await self._read(partial(self._approver.answer, record, place, word))
        except NothingToApprove:  # somebody was faster
            return await self._given_up(record, actor)
        return True

    async def _taken_back(self, record: Record, actor: Actor) -> bool:
        """A yes stands: the job starts, and is ended; but one that cannot start now never does."""
        if (await self._view(record)).question is None:
            return False
        await self._read(partial(self._approver.withdraw, record, actor))
        return (await self._view(record)).question is not None

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """Raw bytes of a job's log. Raises UnknownJob."""
        record = await self._record(job_id)
        backend = self._places.of(record.backend).backend
        try:
            return await backend.log(job_id, offset=offset, limit=limit)
        except UnknownJob:
            if await self._question(record) is None:
                raise
            return NO_LOG

    async def artifact(self, job_id: JobId, name: str, *, offset: int, limit: int) -> Bytes:
        """Raw bytes of an artifact. Raises UnknownJob, UnknownArtifact."""
        backend = await self._backend_of(job_id)
        return await backend.artifact(job_id, name, offset=offset, limit=limit)

    async def apply(self, order: ApplyOrder) -> Applied:
        """Check or apply the patch of a job. Raises AgentsError; nothing was changed then."""
        record = await self._record(order.job_id)
        target = await self._admitted(order.workspace)
        backend = self._places.of(record.backend).backend
        return await self._applier.apply(order, record, backend, target)

    async def undo(self, job_id: JobId, workspace: str, actor: Actor = PROGRAM) -> Applied:
        """Take a job's last apply out of a worktree again. Raises NothingToUndo, PatchConflict."""
        return await self._applier.undo(job_id, await self._admitted(workspace), actor)

    @asynccontextmanager
    async def watch(self, job_id: JobId) -> AsyncGenerator[Watch]:
        """Follow a job: enter first, look second. Raises UnknownJob."""
        record = await self._record(job_id)
        if await self._question(record) is not None:
            yield Polled()
            return
        async with self._places.of(record.backend).backend.watch(job_id) as watch:
            yield watch

    async def _locate(self, workspace: str) -> Origin:
        locate = partial(self._places.first.packer.locate, workspace)
        return await anyio.to_thread.run_sync(locate, limiter=self._reading)

    async def _admitted(self, workspace: str) -> Origin:
        origin = await self._locate(workspace)
        check_root(origin, self._roots)
        return origin

    async def _view(self, record: Record, note: str = "") -> JobView:
        view = await self._seen(record, note)
        return replace(view, money=await self._settler.money(record, view))

    async def _seen(self, record: Record, note: str) -> JobView:
        """The job as its backend tells it, or what it waits for; an approved one is started."""
        backend = self._places.of(record.backend).backend
        try:
            return await collect(backend, record, note=note)
        except UnknownJob:
            question = await self._question(record)
            if question is None:
                raise
            if question.answer is not Answer.APPROVED:
                return waiting_view(record, question, note)
        try:
            await self._submitter.approved(record, question)
        except _NOT_NOW as exc:
            asked = await self._question(record) or question
            return waiting_view(record, asked, f"It is approved, but not started: {exc.message}")
        return await collect(backend, record, note=note)

    async def _question(self, record: Record) -> Question | None:
        return await self._read(partial(self._approver.question, record))

    async def _backend_of(self, job_id: JobId) -> Backend:
        return self._places.of((await self._record(job_id)).backend).backend

    async def _record(self, job_id: JobId) -> Record:
        try:
            return await self._read(partial(self._records.get, job_id))
        except UnknownJob:
            if (record := await self._elsewhere.find(job_id)) is None:
                raise
            return record

    async def _read(self, work: partial[T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._reading)
