"""`cancel`: ask jobs to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.actor import PERSON
from mcp_cloud_agents.cli.session import PASSED, REFUSED, hint_of, run, say, write
from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.domain.rendering import render_text

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner

_MOST = 1_000


def cancel(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Ids of jobs.")] = None,
    workspace: Annotated[
        str | None,
        typer.Option(
            "--workspace", metavar="PATH", help="All jobs of this worktree that are not done."
        ),
    ] = None,
) -> None:
    """End jobs; their logs are kept. A job that is done stays as it is."""
    if not jobs and workspace is None:
        raise typer.BadParameter("name jobs, or a --workspace")

    async def work(runner: JobRunner) -> int:
        ids = [JobId(job) for job in jobs or ()]
        known = [job_id for job_id in ids if await _is_known(runner, job_id)]
        if workspace is not None:
            known += await _going_on(runner, workspace)
        for view in await runner.cancel_all(known, PERSON):
            told = "was done already" if view.status.state.done else "asked to end; it was"
            write(f"{view.spec.id}  {told}: {view.status.state}\n")
        return PASSED if set(ids) <= set(known) else REFUSED

    raise typer.Exit(run(work))


async def _is_known(runner: JobRunner, job_id: JobId) -> bool:
    """Whether it can be cancelled; the others are cancelled too when it cannot be."""
    try:
        await runner.status(job_id)
    except (UnknownJob, JobCorrupt) as exc:
        say(f"error {exc.code}: {render_text(exc.message)}")
        say(f"next  {render_text(hint_of(exc))}")
        return False
    return True


async def _going_on(runner: JobRunner, workspace: str) -> list[JobId]:
    found: list[JobId] = []
    for record in await runner.latest(workspace=workspace, limit=_MOST):
        try:
            status = await runner.status(record.spec.id)
        except (UnknownJob, JobCorrupt):
            continue
        if not status.state.done:
            found.append(record.spec.id)
    return found
