"""Pushing changes of jobs to clients that listen, in both protocol eras.

Legacy clients name URIs by `resources/subscribe`; modern ones hold a `subscriptions/listen`
stream. Both pass through the middleware here, which starts a follower for each job named.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.subscriptions import ResourceUpdated

from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.domain.result import CauseKind

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.subscriptions import InMemorySubscriptionBus

    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.server.front import Front

_log = logging.getLogger(__name__)
_JOB_URI = re.compile(r"job://([A-Za-z0-9_-]{1,80})(?:/.*)?")
_MIN_GAP_S = 0.03  # a line reaches a listener within 50 ms (docs/benchmarks.md)
_LOOK_EVERY_S = 2.0
_MAX_FOLLOWED = 64


class Updates:
    """Follows the jobs that somebody listens to and tells of their changes."""

    def __init__(self, front: Front, bus: InMemorySubscriptionBus) -> None:
        self._front = front
        self._bus = bus
        self._group: TaskGroup | None = None
        self._followed: set[str] = set()
        self._legacy: dict[str, Any] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Holds the followers; leaving ends them, never the jobs."""
        async with anyio.create_task_group() as group:
            self._group = group
            yield
            group.cancel_scope.cancel()

    async def notice(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Middleware: learn who listens to what."""
        params = dict(ctx.params or {})
        if ctx.method == "resources/subscribe":
            self._legacy[str(params.get("uri"))] = ctx.session
            self._follow([str(params.get("uri"))])
        elif ctx.method == "resources/unsubscribe":
            self._legacy.pop(str(params.get("uri")), None)
        elif ctx.method == "subscriptions/listen":
            wanted: dict[str, list[str]] = params.get("notifications") or {}
            self._follow(list(map(str, wanted.get("resourceSubscriptions") or [])))
        return await call_next(ctx)

    def _follow(self, uris: list[str]) -> None:
        for uri in uris:
            found = _JOB_URI.fullmatch(uri)
            if found is None or found[1] in self._followed or self._group is None:
                continue
            if len(self._followed) >= _MAX_FOLLOWED:
                _log.warning("updates_limit", extra={"limit": _MAX_FOLLOWED})
                return
            self._followed.add(found[1])
            self._group.start_soon(self._tell, JobId(found[1]))

    async def _tell(self, job_id: JobId) -> None:
        try:
            await self._tell_until_done(job_id)
        except AgentsError as exc:
            _log.info("updates_ended", extra={"job_id": job_id, "reason": exc.code})
        except Exception:  # noqa: BLE001  a follower's trouble must never end the server
            _log.exception("updates_failed", extra={"job_id": job_id})
        finally:
            self._followed.discard(job_id)

    async def _tell_until_done(self, job_id: JobId) -> None:
        runner = await self._front.runner()
        job = f"job://{job_id}"
        if await self._tell_of_answer(runner, job_id):
            return
        async with runner.watch(job_id) as watch:
            seen = await runner.status(job_id)
            while not seen.state.done:
                await watch.changed(timeout_s=_LOOK_EVERY_S)
                now = await runner.status(job_id)
                for uri in _changed(job, seen, now):
                    await self._publish(uri)
                seen = now
                await anyio.sleep(_MIN_GAP_S)  # many lines, one update

    async def _tell_of_answer(self, runner: JobRunner, job_id: JobId) -> bool:
        """Wait until a job that waits for a person may start; whether it never will."""
        seen = (await runner.look(job_id)).status  # a look starts what was approved
        if seen.state is not JobState.AWAITING_APPROVAL:
            return _never_started(seen)
        while seen.state is JobState.AWAITING_APPROVAL:
            await anyio.sleep(_LOOK_EVERY_S)
            seen = await runner.status(job_id)
        seen = (await runner.look(job_id)).status
        await self._publish(f"job://{job_id}")
        return _never_started(seen)

    async def _publish(self, uri: str) -> None:
        await self._bus.publish(ResourceUpdated(uri=uri))
        session = self._legacy.get(uri)
        if session is not None:
            await session.send_resource_updated(uri)


def _never_started(status: JobStatus) -> bool:
    return status.cause is not None and status.cause.kind is CauseKind.NOT_APPROVED


def _changed(job: str, seen: JobStatus, now: JobStatus) -> list[str]:
    uris: list[str] = []
    if now.log_bytes != seen.log_bytes:
        uris.append(f"{job}/log")
    if (now.state, now.progress) != (seen.state, seen.progress):
        uris.append(job)
    if now.state.done:
        uris += [f"{job}/tests", f"{job}/patch"]
    return uris
