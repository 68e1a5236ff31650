"""`wait_job`: block, bounded, until a job is done."""

from __future__ import annotations

from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.server.answers import JobAnswer
from mcp_cloud_agents.server.arguments import JobIdArgument
from mcp_cloud_agents.server.calls import tool_errors
from mcp_cloud_agents.server.effects import READS
from mcp_cloud_agents.server.follow_up import wait
from mcp_cloud_agents.server.front import Front

_DESCRIPTION = """\
Wait for a submitted job (cloud subagent) to end and get its result: verdict, failing tests, \
patch, log tail, artifacts. Blocks at most timeout_s seconds (0 to 50, default 25) and returns as \
soon as the job is done; if done is false, call it again. A job in state awaiting_approval is \
waited for 10 s only: a person has to agree in a terminal, and no tool can. After \
about 10 calls without an end, tell the user and go on with other work: the job continues by \
itself, also when this call is cancelled. Free of cost."""


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="wait_job",
        title="Wait for a job",
        description=_DESCRIPTION,
        annotations=READS,
    )
    @tool_errors
    async def wait_job(
        ctx: Context,
        job_id: JobIdArgument,
        timeout_s: Annotated[
            float, Field(description="Seconds to wait at most, 0 to 50; default 25.")
        ] = 25,
    ) -> Annotated[CallToolResult, JobAnswer]:
        return await wait(front, ctx, JobId(job_id), timeout_s=timeout_s)
