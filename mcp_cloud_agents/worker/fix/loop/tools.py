"""The tools of ours: run a command, find files, run the target's tests, hand the change in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from anyio import to_thread
from pydantic_ai import ModelRetry, RunContext
from pydantic_ai.workspaces import WorkspaceError

from mcp_cloud_agents.domain.rendering import render, render_text
from mcp_cloud_agents.worker.fix.engine import Workbench
from mcp_cloud_agents.worker.fix.loop.prompt import as_data
from mcp_cloud_agents.worker.fix.loop.told import (
    MAX_CHARS,
    accepted,
    clipped,
    failing,
    told_evidence,
    told_report,
)
from mcp_cloud_agents.worker.fix.loop.workspace import Sandboxed

if TYPE_CHECKING:
    from pydantic_ai.workspaces import WorkspaceBackend


class ListsFiles(Protocol):
    """The library's file tools, of which one is used without its own name and arguments."""

    async def list_files(
        self, path: str = ".", *, glob: str | None = None, workspace: WorkspaceBackend
    ) -> str:
        """Paths below a folder that match, one a line."""
        ...


MAX_SUBMITS = 3
_MAX_IDS = 200


@dataclass
class Attempt:
    """What the tools of one run share."""

    bench: Workbench
    execute: Sandboxed
    mark: str
    """Of the boundaries of data."""
    submits: int = 0


async def run_command(
    ctx: RunContext[Attempt], command: str, timeout_seconds: float | None = None
) -> str:
    """Run a shell command in the sandbox and return its output and exit code.

    Args:
        ctx: The run.
        command: For `sh -c`. Processes that it leaves behind are ended.
        timeout_seconds: Seconds to wait; what it printed so far is returned when they are over.
    """
    if timeout_seconds is not None and not timeout_seconds > 0:
        raise ModelRetry("timeout_seconds must be positive.")
    execute = ctx.deps.execute
    try:
        done = await execute(("sh", "-c", command), timeout_s=timeout_seconds)
    except WorkspaceError as exc:
        raise ModelRetry(str(exc)) from exc
    output = clipped(render(done.output).rstrip("\n"), MAX_CHARS) or "(no output)"
    if done.timed_out:
        return f"{output}\n[ended after {done.duration_s:.0f} s: its time was up]"
    return output if done.exit_code == 0 else f"{output}\n[exit code {done.exit_code}]"


async def run_tests(ctx: RunContext[Attempt], ids: list[str] | None = None) -> str:
    """Run the target's tests on the workspace as it is now; returns each failing test's message.

    Args:
        ctx: The run.
        ids: Only these test ids, as reported before; none: all of the target.
    """
    deps, wanted = ctx.deps, list(ids or ())[:_MAX_IDS]
    call = partial(deps.bench.run_tests, wanted)
    report = await to_thread.run_sync(call, limiter=deps.execute.one)
    deps.bench.transcript.write(
        "test",
        ids=wanted,
        cases=len(report.cases),
        failing=[case.id for case in failing(report)],
        problem=report.problem,
    )
    return told_report(report, ids=wanted)


async def submit(ctx: RunContext[Attempt], summary: str) -> str:
    """Hand the change in. It is verified in a fresh copy; what is not accepted comes back.

    Args:
        ctx: The run.
        summary: What was wrong and what was changed, in a few sentences.
    """
    deps = ctx.deps
    deps.submits += 1
    evidence = await to_thread.run_sync(deps.bench.verify, limiter=deps.execute.one)
    deps.bench.transcript.write(
        "tool",
        name="submit",
        arguments={"summary": summary},
        result={"label": evidence.label.value, "rejected": evidence.rejected, "why": evidence.why},
    )
    if accepted(evidence) or deps.submits >= MAX_SUBMITS:
        return render_text(summary)
    left = MAX_SUBMITS - deps.submits
    told = as_data(deps.mark, told_evidence(evidence))
    raise ModelRetry(f"Not accepted ({left} more submits).\n{told}")


def find_files_with(toolset: object) -> Any:
    """The tool `find_files`: one command a tree, where the library's walks folder by folder."""
    files = cast("ListsFiles", toolset)  # of the library, behind two kinds of toolset

    async def find_files(ctx: RunContext[Attempt], pattern: str, path: str = ".") -> str:
        """Find files by name at any depth, sorted by path, without ignored ones.

        Args:
            ctx: The run.
            pattern: A glob, such as `*.py` or `src/**`.
            path: The folder to look in.
        """
        return await files.list_files(path, glob=pattern, workspace=ctx.workspace)

    return find_files
