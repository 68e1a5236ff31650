"""`apply JOB`: a job's patch into a worktree or onto a branch, all or nothing; and out again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.actor import PERSON
from mcp_cloud_agents.cli.lines import line
from mcp_cloud_agents.cli.session import FAILED, PASSED, run
from mcp_cloud_agents.delegation.apply import ApplyOrder
from mcp_cloud_agents.domain.applied import ApplyMode, Way
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.domain.rendering import change_text

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.applied import Applied

_MOST = 100
_COLOURS = {"added": "green", "deleted": "red"}


def apply(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    mode: Annotated[
        ApplyMode | None,
        typer.Option(
            "--mode",
            help="Only tell; a commit on a new branch; or into the files (the default).",
        ),
    ] = None,
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
    _check_options(mode, branch, undo=undo)
    where = os.path.abspath(into or os.getcwd())
    order = ApplyOrder(
        job_id=JobId(job),
        workspace=where,
        way=Way(
            mode=ApplyMode.BRANCH if branch else mode or ApplyMode.WORKTREE,
            branch=branch,
            allow_protected=allow_protected,
        ),
        elsewhere=into is not None,
        actor=PERSON,
    )

    async def work(runner: JobRunner) -> int:
        if undo:
            applied = await runner.undo(order.job_id, where, PERSON)
            _show(applied, "taken out again", nothing="was out of this tree already")
        else:
            applied = await runner.apply(order)
            _show(applied, _told(applied))
        return FAILED if applied.conflicts else PASSED

    leaving = "interrupted; the next apply rolls back what was not done"
    raise typer.Exit(run(work, cwd=where, leaving=leaving))


def _check_options(mode: ApplyMode | None, branch: str, *, undo: bool) -> None:
    """Options that would silently outdo each other are wrong usage."""
    if undo and (mode is not None or branch):
        raise typer.BadParameter("--undo takes the files back at once: leave --mode and --branch.")
    if branch and mode not in (None, ApplyMode.BRANCH):
        raise typer.BadParameter(f"--branch makes a branch, and --mode {mode} does not: leave one.")


def _told(applied: Applied) -> str:
    if applied.done:
        return "applied"
    return "is on the branch already" if applied.branch is not None else "would change"


def _show(applied: Applied, told: str, nothing: str = "is in this tree already") -> None:
    line("worktree", applied.workspace)
    for path, why in applied.conflicts[:_MOST]:
        line("conflict", f"{path}: {why}", "red")
    if not applied.conflicts:
        for path in applied.paths[:_MOST]:
            counts = f"+{path.insertions} -{path.deletions}"
            line(path.how, f"{path.path}  {counts}", _COLOURS.get(path.how, ""))
        change = change_text(len(applied.paths), applied.insertions, applied.deletions)
        line("patch", f"{told}: {change}" if applied.paths else nothing)
    for path, why in applied.protected:
        line("", f"look at it first: {path} ({why})", "yellow")
    if applied.branch is not None:
        line("branch", f"{applied.branch} at {(applied.commit or '')[:12]}")
    if applied.can_undo:
        line("undo", f"mcp-cloud-agents apply {applied.job_id} --undo")
    for note in applied.notes:
        line("note", note, "yellow")
