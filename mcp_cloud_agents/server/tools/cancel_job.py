"""`cancel_job`: ask a job to end."""

from __future__ import annotations

from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.server.answers import JobAnswer
from mcp_cloud_agents.server.arguments import JobIdArgument
from mcp_cloud_agents.server.calls import actor_of, tool_errors
from mcp_cloud_agents.server.effects import ENDS_A_JOB
from mcp_cloud_agents.server.follow_up import answer_of
from mcp_cloud_agents.server.front import Front

_DESCRIPTION = """\
Cancel a submitted job (cloud subagent): its processes are killed within about a second, its log \
is kept, its unfinished work is lost. Answers at once; the state becomes cancelled shortly after \
(wait_job tells). A job that is done stays as it is. Free of cost."""


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="cancel_job",
        title="Cancel a job",
        description=_DESCRIPTION,
        annotations=ENDS_A_JOB,
    )
    @tool_errors
    async def cancel_job(
        ctx: Context, job_id: JobIdArgument
    ) -> Annotated[CallToolResult, JobAnswer]:
        runner = await front.runner()
        return answer_of(await runner.cancel(JobId(job_id), actor_of(ctx)))
