"""`attach JOB`: its log as it comes, a line that tells how far it is, then the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.follow import follow
from mcp_cloud_agents.cli.session import run
from mcp_cloud_agents.cli.show import show_job
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner


def attach(job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]) -> None:
    """Follow a job live. Ctrl-C leaves the job alone."""

    async def work(runner: JobRunner) -> int:
        return show_job(await follow(runner, JobId(job)))

    leaving = f"the job goes on; attach again any time: mcp-cloud-agents attach {job}"
    raise typer.Exit(run(work, leaving=leaving))
