"""From a request to a job that was started: packed for the first place that takes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_cloud_agents.domain.errors import (
    BackendUnavailable,
    IsolationUnavailable,
    ModelUnusable,
    OverBudget,
    SecretUnusable,
)
from mcp_cloud_agents.ports.records import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.delegation.submit import Submitter
    from mcp_cloud_agents.domain.job import JobSpec, Origin
    from mcp_cloud_agents.domain.money import Estimate

REPEATED = "This key already started this job; nothing new was started."
_UNDER_WAY = "The same work on the same tree is under way already; this is that job."
_PASSED_OVER = (BackendUnavailable, IsolationUnavailable, ModelUnusable, SecretUnusable)
"""What keeps a job from one place only; nothing was started there."""


class Starter:
    """Tries places in their order.

    Args:
        places: all.
        submitter: claims, admits and starts.
        admission: tells what a job may cost.
        sweep: settles jobs that ended unseen; how many.
    """

    def __init__(
        self,
        places: Places,
        submitter: Submitter,
        admission: Admission,
        sweep: Callable[[], Awaitable[int]],
    ) -> None:
        self._places = places
        self._submitter = submitter
        self._admission = admission
        self._sweep = sweep
        self._packing = anyio.CapacityLimiter(1)  # a burst of submits leaves room for answers

    async def start(self, request: Request, origin: Origin) -> tuple[Record, str]:
        """The job, and what to say of it. Raises what `JobRunner.submit` does."""
        *preferred, last = self._places.candidates(request.backend)
        passed_over: tuple[str, ...] = ()
        for place in preferred:
            try:
                return await self._start(place, request, origin, passed_over)
            except _PASSED_OVER as exc:
                passed_over += (f"{place.name} was passed over: {exc.message}",)
        return await self._start(last, request, origin, passed_over)

    async def estimate(self, request: Request, origin: Origin) -> Estimate:
        """What a job may cost at the preferred place, without starting it."""
        place = self._places.candidates(request.backend)[0]
        spec = await self._packed(place, request, origin, ())
        work = partial(self._admission.estimate, Record(spec=spec, backend=place.name), place)
        return await anyio.to_thread.run_sync(work)

    async def _start(
        self, place: Place, request: Request, origin: Origin, passed_over: tuple[str, ...]
    ) -> tuple[Record, str]:
        await place.check()
        spec = await self._packed(place, request, origin, passed_over)
        if not request.fresh and (same := await self._submitter.under_way(spec)) is not None:
            return same, _UNDER_WAY
        record = await self._submitted(spec, place, request)
        return record, "" if record.spec.id == spec.id else REPEATED

    async def _packed(
        self, place: Place, request: Request, origin: Origin, passed_over: tuple[str, ...]
    ) -> JobSpec:
        pack = partial(place.packer.pack, request, origin, passed_over)
        return await anyio.to_thread.run_sync(pack, limiter=self._packing)

    async def _submitted(self, spec: JobSpec, place: Place, request: Request) -> Record:
        """A limit may be held by jobs that ended and that nobody has looked at since."""
        try:
            return await self._submitter.submit(spec, place, request)
        except OverBudget:
            if not await self._sweep():
                raise
        return await self._submitter.submit(spec, place, request)
