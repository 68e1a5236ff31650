"""What the submit tools share: start a job, wait a little if asked, answer with the envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.server.arguments import clamped_wait
from mcp_cloud_agents.server.calls import result_of
from mcp_cloud_agents.server.views import job_answer, links_of

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context
    from mcp.types import CallToolResult

    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.server.front import Front


def seconds_of(minutes: float | None) -> int | None:
    """Whole seconds, at least one where a positive time was asked for; absurd values stay absurd.

    They are refused with a message by the validation of the request.
    """
    if minutes is None:
        return None
    return max(1, round(min(minutes, 1e9) * 60)) if minutes > 0 else -1


async def start(front: Front, ctx: Context, request: Request, *, wait_s: float) -> CallToolResult:
    """Submit, then wait up to `wait_s`. Raises AgentsError."""
    view = await (await front.runner()).submit(request)
    if wait_s > 0 and not view.status.state.done:
        return await wait(front, ctx, view.spec.id, timeout_s=wait_s)
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
