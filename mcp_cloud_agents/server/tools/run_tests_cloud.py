"""`run_tests_cloud`: the tests of this tree, in a sandboxed job."""

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
Run the tests of the current working tree in a sandboxed job (cloud subagent) and get a verdict.
Sends exactly this git worktree: staged, unstaged and untracked files; never ignored ones; the \
checkout is not touched. Answers at once with job_id (cost: 0 USD locally); then call \
wait_job(job_id, timeout_s=50) until done is true. The answer has verdict (passed, failed, \
incomplete, none), tests (counts, each failing test with file, line, reason), patch (what the run \
changed), log, artifacts such as junit.xml. Failing tests are a verdict, not an error. \
The first run installs the dependencies (with network, cached afterwards); the tests run without \
network. Works with pytest, unittest, jest, vitest, go test, cargo test. State awaiting_approval: \
a person has to agree first; next says how."""


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="run_tests_cloud",
        title="Run tests in a sandboxed job",
        description=_DESCRIPTION,
        annotations=STARTS_A_JOB,
    )
    @tool_errors
    async def run_tests_cloud(
        ctx: Context,
        command: Annotated[
            str | None,
            Field(
                description="Shell command that runs the tests, such as 'pytest -q tests/unit'; "
                "default: found from the tree's own files."
            ),
        ] = None,
        paths: Annotated[
            list[str] | None,
            Field(
                description="Test files, folders or ids to run, relative to workspace or to the "
                "top of the tree; appended to the command. Default: all."
            ),
        ] = None,
        timeout_minutes: TimeoutMinutes = None,
        wait_s: WaitS = 0,
        workspace: Workspace = None,
        backend: Backend = AUTO,
        fresh: Fresh = False,
        estimate_only: EstimateOnly = False,
        idempotency_key: IdempotencyKey = None,
    ) -> Annotated[CallToolResult, JobAnswer] | InputRequiredResult:
        wish = Wish(
            kind=Kind.TESTS,
            command=command,
            paths=tuple(paths or ()),
            timeout_s=seconds_of(timeout_minutes),
        )
        given = Given(
            workspace=workspace,
            backend=backend,
            key=idempotency_key,
            fresh=fresh,
            wait_s=wait_s,
            estimate_only=estimate_only,
        )
        return await start(front, ctx, "run_tests_cloud", wish, given)
