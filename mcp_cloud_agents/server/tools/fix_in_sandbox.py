"""`fix_in_sandbox`: make a goal true, in a sandboxed job; the answer is a patch with evidence."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import Field

from mcp_cloud_agents.delegation.place import AUTO
from mcp_cloud_agents.delegation.timeout import seconds_of
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.fix_policy import FixWish
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
Let a cloud subagent make tests pass in a sandboxed job, on a copy of the current working tree \
(dirty and untracked files included). The answer is a patch with evidence, or an honest no; the \
checkout is not touched. Answers at once with job_id (cost: at most max_usd for models, 0 USD with \
engine "command"); then call wait_job(job_id, timeout_s=50) until done is true. What it does: runs \
the target twice (it must fail), makes a change, then judges it in a fresh sandbox by test ids, \
never by exit codes: the failing tests must pass, nothing that passed may fail; changed tests, CI \
and lock files are put back. Labels: verified, likely, unverified; fix.evidence.why says what is \
missing. engine "command" runs command (a formatter, a linter's --fix, a codemod) and needs no \
model; engine "model" is the built-in loop, and needs a model in the person's settings. State \
awaiting_approval: a person has to agree first; next says how. Then call \
apply_patch(job_id, mode="check")."""

_Goal = Annotated[
    str, Field(description="What shall be true afterwards, in words; the model reads it.")
]
_TestCommand = Annotated[
    str | None,
    Field(
        description="Shell command of the tests that shall pass, such as "
        "'pytest -q tests/test_a.py'; default: all tests, found from the tree's own files."
    ),
]
_Attempts = Annotated[
    int,
    Field(
        description="How many different candidates to make at once; an arbiter picks by proof; "
        "from 1 to the person's fix.max_attempts (4 when not set); default 1; "
        "engine 'command' makes one, whatever is asked for."
    ),
]
_Engine = Annotated[
    Literal["command", "model", "claude-code", "codex"] | None,
    Field(
        description="What makes the change: 'command', 'model', 'claude-code' or 'codex'; "
        "default: 'command' when command is given, else what the person's settings say."
    ),
]
_Command = Annotated[
    str | None,
    Field(
        description="Shell command that edits files, such as 'ruff check --fix .'; with another "
        "engine it makes a first candidate that costs nothing; default: none."
    ),
]
_MaxUsd = Annotated[
    float | None,
    Field(
        description="Most that models may cost, in US dollars, all candidates together; default "
        "and upper bound: the person's fix.max_usd (1 when not set)."
    ),
]


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="fix_in_sandbox",
        title="Fix in a sandboxed job",
        description=_DESCRIPTION,
        annotations=STARTS_A_JOB,
    )
    @tool_errors
    async def fix_in_sandbox(
        ctx: Context,
        goal: _Goal,
        test_command: _TestCommand = None,
        attempts: _Attempts = 1,
        engine: _Engine = None,
        command: _Command = None,
        max_usd: _MaxUsd = None,
        timeout_minutes: TimeoutMinutes = None,
        wait_s: WaitS = 0,
        workspace: Workspace = None,
        backend: Backend = AUTO,
        fresh: Fresh = False,
        estimate_only: EstimateOnly = False,
        idempotency_key: IdempotencyKey = None,
    ) -> Annotated[CallToolResult, JobAnswer] | InputRequiredResult:
        wish = Wish(
            kind=Kind.FIX,
            command=test_command,
            timeout_s=seconds_of(timeout_minutes),
            fix=FixWish(
                goal=goal,
                engine=None if engine is None else Engine(engine),
                edit_command=command,
                attempts=attempts,
                max_usd=max_usd,
            ),
        )
        given = Given(
            workspace=workspace,
            backend=backend,
            key=idempotency_key,
            fresh=fresh,
            wait_s=wait_s,
            estimate_only=estimate_only,
        )
        return await start(front, ctx, "fix_in_sandbox", wish, given)
