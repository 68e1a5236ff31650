"""`get_job`: what is known of a job now."""

from __future__ import annotations

from typing import Annotated

from mcp.server import MCPServer
from mcp.types import CallToolResult

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.server.answers import JobAnswer
from mcp_cloud_agents.server.arguments import JobIdArgument
from mcp_cloud_agents.server.calls import tool_errors
from mcp_cloud_agents.server.effects import READS
from mcp_cloud_agents.server.follow_up import answer_of
from mcp_cloud_agents.server.front import Front

_DESCRIPTION = """\
Get the state and result of a submitted job (cloud subagent) without waiting: state, verdict, \
failing tests, patch, log tail with cursor, artifacts, isolation. Answers in milliseconds, free of \
cost. To wait for the end use wait_job."""


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="get_job",
        title="Look at a job",
        description=_DESCRIPTION,
        annotations=READS,
    )
    @tool_errors
    async def get_job(job_id: JobIdArgument) -> Annotated[CallToolResult, JobAnswer]:
        return answer_of(await (await front.runner()).look(JobId(job_id)))
