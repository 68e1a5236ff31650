"""`cancel`: ask jobs to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.session import err, out, run
from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner

_MOST = 1_000


def cancel(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of jobs.")] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="All running jobs of this worktree.")
    ] = None,
) -> None:
    """End jobs; their logs are kept."""
    if not jobs and workspace is None:
        err.print("name jobs, or a --workspace")
        raise typer.Exit(2)

    async def work(runner: JobRunner) -> None:
        ids = [JobId(job) for job in jobs or ()]
        if workspace is not None:
            ids += await _running(runner, workspace)
        for job_id in ids:
            view = await runner.cancel(job_id)
            told = "already" if view.status.state.done else "asked to end; it was"
            out.print(f"{job_id}  {told} {view.status.state}")

    run(work)


async def _running(runner: JobRunner, workspace: str) -> list[JobId]:
    found: list[JobId] = []
    for record in await runner.latest(workspace=workspace, limit=_MOST):
        try:
            status = await runner.status(record.spec.id)
        except (UnknownJob, JobCorrupt):
            continue
        if not status.state.done:
            found.append(record.spec.id)
    return found
