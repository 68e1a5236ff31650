"""`run_in_sandbox`: any command on this tree, in a sandboxed job."""

from __future__ import annotations

from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import Field

from mcp_cloud_agents.delegation.place import AUTO
from mcp_cloud_agents.delegation.timeout import seconds_of
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.server.answers import JobAnswer
from mcp_cloud_agents.server.arguments import (
    Backend,
    EstimateOnly,
    Fresh,
    IdempotencyKey,
    TimeoutMinutes,
    WaitS,
    Workspace,
)
from mcp_cloud_agents.server.calls import tool_errors
from mcp_cloud_agents.server.effects import STARTS_A_JOB
from mcp_cloud_agents.server.follow_up import Given, start
from mcp_cloud_agents.server.front import Front

_DESCRIPTION = """\
Run any shell command on a copy of the current working tree in a sandboxed job (cloud subagent): \
linters, builds, code generators, experiments that should not touch the checkout.
Sends exactly this git worktree (dirty and untracked files included). Answers at once with job_id \
(cost: 0 USD locally); then call wait_job(job_id, timeout_s=50) until done is true. The answer has \
exit_code, log, and patch when the command changed files; the checkout itself stays as it is. \
Dependencies are installed first (with network, cached); the command runs without network. \
A non-zero exit code is a result, not an error, but for 126 and 127: no such program. \
State awaiting_approval: a person has to agree first; next says how."""


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="run_in_sandbox",
        title="Run a command in a sandboxed job",
        description=_DESCRIPTION,
        annotations=STARTS_A_JOB,
    )
    @tool_errors
    async def run_in_sandbox(
        ctx: Context,
        command: Annotated[str, Field(description="Shell command line, run by sh in workspace.")],
        timeout_minutes: TimeoutMinutes = None,
        wait_s: WaitS = 0,
        workspace: Workspace = None,
        backend: Backend = AUTO,
        fresh: Fresh = False,
        estimate_only: EstimateOnly = False,
        idempotency_key: IdempotencyKey = None,
    ) -> Annotated[CallToolResult, JobAnswer] | InputRequiredResult:
        wish = Wish(kind=Kind.COMMAND, command=command, timeout_s=seconds_of(timeout_minutes))
        given = Given(
            workspace=workspace,
            backend=backend,
            key=idempotency_key,
            fresh=fresh,
            wait_s=wait_s,
            estimate_only=estimate_only,
        )
        return await start(front, ctx, "run_in_sandbox", wish, given)
