"""What the submit tools share: start a job, ask a person where a rule says so, wait, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp.types import InputRequiredResult

from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.server.approval import answered, ask, waits
from mcp_cloud_agents.server.arguments import clamped_wait
from mcp_cloud_agents.server.calls import actor_of, call_key, result_of
from mcp_cloud_agents.server.money_views import estimate_answer
from mcp_cloud_agents.server.views import job_answer, links_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.mcpserver import Context
    from mcp.types import CallToolResult

    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.planner import Wish
    from mcp_cloud_agents.server.front import Front


_PERSON_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Arguments that each submit tool takes, besides what is to be run."""

    workspace: str | None
    backend: str
    key: str | None
    fresh: bool
    wait_s: float
    estimate_only: bool


async def start(
    front: Front, ctx: Context, agent: str, wish: Wish, given: Given
) -> CallToolResult | InputRequiredResult:
    """Submit, have a person asked where a rule says so, then wait up to `wait_s`.

    Raises:
        AgentsError: nothing was started.
    """
    request = _request(front, ctx, agent, wish, given)
    if given.estimate_only:
        return result_of(estimate_answer(request, await (await front.runner()).estimate(request)))
    view = await _submitted(front, ctx, request)
    if isinstance(view, InputRequiredResult):
        return view
    if given.wait_s > 0 and not view.status.state.done and not waits(view):
        return await wait(front, ctx, view.spec.id, timeout_s=given.wait_s)
    return answer_of(view)


async def _submitted(front: Front, ctx: Context, request: Request) -> JobView | InputRequiredResult:
    runner = await front.runner()
    if ctx.request_state is not None:  # the job was stored by the call before this one
        return await answered(runner, ctx, ctx.request_state)
    return await ask(runner, ctx, await runner.submit(request), ask_s=front.ask_s)


def _request(front: Front, ctx: Context, agent: str, wish: Wish, given: Given) -> Request:
    return Request(
        agent=agent,
        workspace=given.workspace or front.workspace,
        wish=wish,
        key=call_key(ctx, given.key),
        backend=given.backend,
        actor=actor_of(ctx),
        fresh=given.fresh,
    )


async def wait(front: Front, ctx: Context, job_id: JobId, *, timeout_s: float) -> CallToolResult:
    """Wait for the end, telling progress on the way. Raises UnknownJob, JobCorrupt.

    While it waits for a person, for 10 s at most: an answer may take an hour.
    """
    runner = await front.runner()
    most = clamped_wait(timeout_s)
    if (await runner.status(job_id)).state is JobState.AWAITING_APPROVAL:
        most = min(most, _PERSON_S)
    return answer_of(await runner.wait(job_id, timeout_s=most, on_change=_progress(ctx)))


def _progress(ctx: Context) -> Callable[[JobStatus], Awaitable[None]]:
    told: list[str] = []

    async def on_change(status: JobStatus) -> None:
        text = _progress_text(status)
        if text not in told[-1:]:
            told.append(text)
            await ctx.report_progress(len(told), None, text)

    return on_change


def answer_of(view: JobView) -> CallToolResult:
    """The envelope on the wire."""
    return result_of(job_answer(view), links_of(view))


def _progress_text(status: JobStatus) -> str:
    if status.progress is None:
        return str(status.state)
    total = f"/{status.progress.total}" if status.progress.total else ""
    return f"{status.state}: {status.progress.done}{total} tests, {status.progress.failed} failed"
