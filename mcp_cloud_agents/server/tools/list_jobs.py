"""`list_jobs`: the newest jobs, whoever started them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from mcp.server import MCPServer
from mcp.types import CallToolResult
from pydantic import Field

from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.errors import AgentsError, NotAWorktree
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.server.answers import JobLine, JobsAnswer
from mcp_cloud_agents.server.arguments import Workspace
from mcp_cloud_agents.server.calls import result_of, tool_errors
from mcp_cloud_agents.server.effects import READS
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.server.room import cut, cut_front

MAX_JOBS = 20
_DESCRIPTION = """\
List submitted jobs (cloud subagents), newest first: id, state, verdict, command. Default: the 10 \
newest of this worktree, from any client or session; at most 20. Free of cost. Then get_job or \
wait_job with a job_id."""

_ELSEWHERE = (
    "Pass all_workspaces=true for the jobs of every worktree, or the folder of a git worktree as "
    "workspace."
)


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="list_jobs",
        title="List jobs",
        description=_DESCRIPTION,
        annotations=READS,
    )
    @tool_errors
    async def list_jobs(
        limit: Annotated[int, Field(description="How many, 1 to 20; default 10.")] = 10,
        workspace: Workspace = None,
        all_workspaces: Annotated[
            bool, Field(description="True lists the jobs of every worktree; default false.")
        ] = False,
    ) -> Annotated[CallToolResult, JobsAnswer]:
        runner = await front.runner()
        where = None if all_workspaces else workspace or front.workspace
        records = await _latest(runner, where, limit=max(1, min(limit, MAX_JOBS)))
        lines = [await job_line(runner, record) for record in records]
        summary = f"{len(lines)} jobs, newest first." if lines else "No job was submitted here yet."
        follow = "Call get_job or wait_job with one of the ids." if lines else ""
        return result_of(JobsAnswer(summary=summary, next=follow, jobs=lines))


async def _latest(runner: JobRunner, where: str | None, *, limit: int) -> tuple[Record, ...]:
    try:
        return await runner.latest(workspace=where, limit=limit)
    except NotAWorktree as exc:
        raise NotAWorktree(exc.message, hint=_ELSEWHERE) from exc


async def job_line(runner: JobRunner, record: Record) -> JobLine:
    """One row; a job whose folder is gone or damaged is still listed."""
    spec, verdict = record.spec, None
    try:
        view = await runner.look(spec.id)
        state, done = str(view.status.state), view.status.state.done
        if view.result is not None and view.result.verdict is not None:
            verdict = str(view.result.verdict.outcome)
    except AgentsError as exc:
        state, done = exc.code, True
    return JobLine(
        job_id=spec.id,
        agent=spec.agent,
        state=state,
        done=done,
        verdict=verdict,
        command=cut(spec.command, 80),
        workspace=cut_front(spec.snapshot.origin.workspace, 80),
        created_at=datetime.fromtimestamp(spec.created_at, UTC).isoformat(timespec="seconds"),
    )
