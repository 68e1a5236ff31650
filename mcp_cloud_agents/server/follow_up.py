"""What the submit tools share: start a job, wait a little if asked, answer with the envelope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.server.arguments import clamped_wait
from mcp_cloud_agents.server.calls import call_key, result_of
from mcp_cloud_agents.server.views import job_answer, links_of

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context
    from mcp.types import CallToolResult

    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.planner import Wish
    from mcp_cloud_agents.server.front import Front


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Arguments that each submit tool takes, besides what is to be run."""

    workspace: str | None
    backend: str
    key: str | None
    fresh: bool
    wait_s: float


async def start(front: Front, ctx: Context, agent: str, wish: Wish, given: Given) -> CallToolResult:
    """Submit, then wait up to `wait_s`. Raises AgentsError."""
    request = Request(
        agent=agent,
        workspace=given.workspace or front.workspace,
        wish=wish,
        key=call_key(ctx, given.key),
        backend=given.backend,
        fresh=given.fresh,
    )
    view = await (await front.runner()).submit(request)
    if given.wait_s > 0 and not view.status.state.done:
        return await wait(front, ctx, view.spec.id, timeout_s=given.wait_s)
    return answer_of(view)


async def wait(front: Front, ctx: Context, job_id: JobId, *, timeout_s: float) -> CallToolResult:
    """Wait for the end, telling progress on the way. Raises UnknownJob, JobCorrupt."""
    told: list[str] = []

    async def on_change(status: JobStatus) -> None:
        text = _progress_text(status)
        if text not in told[-1:]:
            told.append(text)
            await ctx.report_progress(len(told), None, text)

    runner = await front.runner()
    view = await runner.wait(job_id, timeout_s=clamped_wait(timeout_s), on_change=on_change)
    return answer_of(view)


def answer_of(view: JobView) -> CallToolResult:
    """The envelope on the wire."""
    return result_of(job_answer(view), links_of(view))


def _progress_text(status: JobStatus) -> str:
    if status.progress is None:
        return str(status.state)
    total = f"/{status.progress.total}" if status.progress.total else ""
    return f"{status.state}: {status.progress.done}{total} tests, {status.progress.failed} failed"
