"""`apply JOB`: a job's patch into a worktree or onto a branch, all or nothing; and out again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.lines import line
from mcp_cloud_agents.cli.session import FAILED, PASSED, run
from mcp_cloud_agents.delegation.apply import ApplyOrder
from mcp_cloud_agents.domain.applied import ApplyMode, Way
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.applied import Applied

_MOST = 100
_COLOURS = {"added": "green", "deleted": "red"}


def apply(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    mode: Annotated[
        ApplyMode,
        typer.Option("--mode", help="Only tell; a commit on a new branch; or into the files."),
    ] = ApplyMode.WORKTREE,
    branch: Annotated[
        str,
        typer.Option("--branch", metavar="NAME", help="The new branch; default: cloud-agents/JOB."),
    ] = "",
    into: Annotated[
        str | None,
        typer.Option(
            "--into",
            metavar="PATH",
            help="Another worktree of the job's repository; default: the one of this folder.",
        ),
    ] = None,
    *,
    allow_protected: Annotated[
        bool,
        typer.Option("--allow-protected", help="Also change files that tools obey; look first."),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the last apply of this job out again.")
    ] = False,
) -> None:
    """Apply a job's patch, merged with what else was edited: all of it or nothing.

    Index, stash and refs stay as they are. Exit code 1: a check found conflicts.
    """
    where = os.path.abspath(into or os.getcwd())
    order = ApplyOrder(
        job_id=JobId(job),
        workspace=where,
        way=Way(
            mode=ApplyMode.BRANCH if branch else mode,
            branch=branch,
            allow_protected=allow_protected,
        ),
        elsewhere=into is not None,
    )

    async def work(runner: JobRunner) -> int:
        if undo:
            applied = await runner.undo(order.job_id, where)
            _show(applied, "taken out again")
        else:
            applied = await runner.apply(order)
            _show(applied, "applied" if applied.done else "would change")
        return FAILED if applied.conflicts else PASSED

    leaving = "interrupted; the next apply rolls back what was not done"
    raise typer.Exit(run(work, cwd=where, leaving=leaving))


def _show(applied: Applied, told: str) -> None:
    line("worktree", applied.workspace)
    for path, why in applied.conflicts[:_MOST]:
        line("conflict", f"{path}: {why}", "red")
    if not applied.conflicts:
        for path in applied.paths[:_MOST]:
            counts = f"+{path.insertions} -{path.deletions}"
            line(path.how, f"{path.path}  {counts}", _COLOURS.get(path.how, ""))
        change = f"{len(applied.paths)} files, +{applied.insertions} -{applied.deletions}"
        line("patch", f"{told}: {change}" if applied.paths else "is in this tree already")
    for path, why in applied.protected:
        line("", f"look at it first: {path} ({why})", "yellow")
    if applied.branch is not None:
        line("branch", f"{applied.branch} at {(applied.commit or '')[:12]}")
    if applied.can_undo:
        line("undo", f"mcp-cloud-agents apply {applied.job_id} --undo")
    for note in applied.notes:
        line("note", note, "yellow")
