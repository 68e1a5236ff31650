"""The way of one job, from request to view; the stages are the files beside this one.

validate ─ admit ─ pack ─ submit ─ observe ─ collect
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_cloud_agents.delegation.admit import admit, scoped_key
from mcp_cloud_agents.delegation.apply import Applier
from mcp_cloud_agents.delegation.collect import collect
from mcp_cloud_agents.delegation.elsewhere import Elsewhere
from mcp_cloud_agents.delegation.observe import observe
from mcp_cloud_agents.delegation.submit import Submitter
from mcp_cloud_agents.delegation.validate import validate
from mcp_cloud_agents.domain.errors import (
    BackendUnavailable,
    IsolationUnavailable,
    ModelUnusable,
    UnknownJob,
    too_weak,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from mcp_cloud_agents.delegation.apply import ApplyOrder
    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.delegation.request import JobView, Request
    from mcp_cloud_agents.domain.applied import Applied
    from mcp_cloud_agents.domain.job import JobId, Origin
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.backend import Backend, Bytes, Watch
    from mcp_cloud_agents.ports.patches import Patches
    from mcp_cloud_agents.ports.records import Record, Records

T = TypeVar("T")
_PASSED_OVER = (BackendUnavailable, IsolationUnavailable, ModelUnusable)
"""What keeps a job from one place only; nothing was started there."""
_REPEATED = "This key already started this job; nothing new was started."
_UNDER_WAY = "The same work on the same tree is under way already; this is that job."


async def _nobody(_: JobStatus) -> None:
    """Nobody listens."""


class JobRunner:
    """Runs subagents on snapshots. The one way to run a job: tools, commands, patterns call it."""

    def __init__(
        self, *, places: Places, records: Records, patches: Patches, roots: Sequence[str]
    ) -> None:
        self._places = places
        self._applier = Applier(patches)
        self._submitter = Submitter(records, places)
        self._elsewhere = Elsewhere(places)
        self._records = records
        self._roots = tuple(roots)
        self._packing = anyio.CapacityLimiter(1)  # a burst of submits leaves room for answers
        self._reading = anyio.CapacityLimiter(4)

    async def submit(self, request: Request) -> JobView:
        """Start a job, or find the one that is this request already; durable when it returns.

        Raises:
            BadRequest: see its subclasses; nothing was started.
            IsolationUnavailable: the sandbox asked for does not start here.
            StateUnusable, NoSpace, BackendFailed: calling again with the same key is safe.
        """
        validate(request)
        candidates = self._places.candidates(request.backend)
        origin = await self._admitted(request.workspace)
        request = replace(request, key=scoped_key(request.key, origin))
        if (record := await self._submitter.repeated(request.key)) is not None:
            return await self._view(record, _REPEATED)
        passed_over: tuple[str, ...] = ()
        for place in candidates[:-1]:
            try:
                started = await self._start(place, request, origin, passed_over)
            except _PASSED_OVER as exc:
                passed_over += (f"{place.name} was passed over: {exc.message}",)
            else:
                return await self._view(*started)
        return await self._view(*await self._start(candidates[-1], request, origin, passed_over))

    async def _start(
        self, place: Place, request: Request, origin: Origin, passed_over: tuple[str, ...]
    ) -> tuple[Record, str]:
        """The job, and what to say of it. What is asked of it later may fail without a fallback."""
        await self._check(place)
        pack = partial(place.packer.pack, request, origin, passed_over)
        spec = await anyio.to_thread.run_sync(pack, limiter=self._packing)
        if not request.fresh and (same := await self._submitter.under_way(spec)) is not None:
            return same, _UNDER_WAY
        record = await self._submitter.submit(spec, place)
        return record, "" if record.spec.id == spec.id else _REPEATED

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
        backend = self._places.of(record.backend).backend
        await observe(backend, job_id, timeout_s=timeout_s, on_change=on_change)
        return await self._view(record)

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
        return await (await self._backend_of(job_id)).status(job_id)

    async def cancel(self, job_id: JobId) -> JobView:
        """Ask a job to end, and look. Raises UnknownJob, JobCorrupt."""
        record = await self._record(job_id)
        await self._places.of(record.backend).backend.cancel(job_id)
        return await self._view(record)

    async def cancel_all(self, job_ids: Sequence[JobId]) -> tuple[JobView, ...]:
        """Ask jobs to end, many with one call where the place knows one, and look at each.

        Raises:
            UnknownJob, JobCorrupt: of one of them; nothing was asked.
            BackendFailed: some may have been asked; calling again is safe.
        """
        records = [await self._record(job_id) for job_id in job_ids]
        for name in dict.fromkeys(record.backend for record in records):
            there = [record.spec.id for record in records if record.backend == name]
            await self._places.of(name).backend.cancel_many(there)
        return tuple([await self._view(record) for record in records])

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """Raw bytes of a job's log. Raises UnknownJob."""
        return await (await self._backend_of(job_id)).log(job_id, offset=offset, limit=limit)

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

    async def undo(self, job_id: JobId, workspace: str) -> Applied:
        """Take a job's last apply out of a worktree again. Raises NothingToUndo, PatchConflict."""
        return await self._applier.undo(job_id, await self._admitted(workspace))

    @asynccontextmanager
    async def watch(self, job_id: JobId) -> AsyncGenerator[Watch]:
        """Follow a job: enter first, look second. Raises UnknownJob."""
        async with (await self._backend_of(job_id)).watch(job_id) as watch:
            yield watch

    async def _check(self, place: Place) -> None:
        probe = await place.backend.probe()
        if place.shared and not probe.works:
            said = probe.problem.rstrip(".")
            raise BackendUnavailable(
                f"{place.name} cannot start jobs now: {said}.", hint=probe.remedy
            )
        if not probe.works or not probe.level.satisfies(place.isolation):
            raise too_weak(place.isolation, probe.problem, probe.remedy)

    async def _locate(self, workspace: str) -> Origin:
        locate = partial(self._places.first.packer.locate, workspace)
        return await anyio.to_thread.run_sync(locate, limiter=self._reading)

    async def _admitted(self, workspace: str) -> Origin:
        origin = await self._locate(workspace)
        admit(origin, self._roots)
        return origin

    async def _view(self, record: Record, note: str = "") -> JobView:
        return await collect(self._places.of(record.backend).backend, record, note=note)

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
