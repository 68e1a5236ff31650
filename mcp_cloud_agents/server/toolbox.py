"""All tools and resources, put into a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.server.resources import add_resources
from mcp_cloud_agents.server.tools import (
    apply_patch,
    cancel_job,
    fix_in_sandbox,
    get_artifact,
    get_job,
    list_jobs,
    read_log,
    run_in_sandbox,
    run_tests_cloud,
    wait_job,
)

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from mcp_cloud_agents.server.front import Front

_TOOLS = (
    run_tests_cloud,
    fix_in_sandbox,
    run_in_sandbox,
    wait_job,
    get_job,
    list_jobs,
    read_log,
    get_artifact,
    apply_patch,
    cancel_job,
)


def fill(server: MCPServer[None], front: Front) -> None:
    """Register everything; the order is the order of `tools/list`."""
    for tool in _TOOLS:
        tool.add(server, front)
    add_resources(server, front)
