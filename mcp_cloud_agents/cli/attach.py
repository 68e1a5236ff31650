"""`attach JOB`: its log as it comes, a line that tells how far it is, then the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.status import Status
from rich.text import Text

from mcp_cloud_agents.cli.session import err, out, run
from mcp_cloud_agents.cli.show import show_job
from mcp_cloud_agents.delegation.logs import page
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.status import JobStatus

_PAGE = 65_536
_LOOK_EVERY_S = 1.0


def attach(job: Annotated[str, typer.Argument(help="The job's id.")]) -> None:
    """Follow a job live; leaving (Ctrl-C) never ends it."""

    async def work(runner: JobRunner) -> int:
        return show_job(await follow(runner, JobId(job)))

    raise typer.Exit(run(work))


async def follow(runner: JobRunner, job_id: JobId) -> JobView:
    """Print the log until the job is done; on a terminal with a progress line below it."""
    cursor = 0
    with err.status("queued") as line:
        async with runner.watch(job_id) as watch:
            while True:
                status = await runner.status(job_id)
                cursor = await _print_new(runner, job_id, cursor)
                _tell(line, status)
                if status.state.done:
                    break
                await watch.changed(timeout_s=_LOOK_EVERY_S)
    await _print_new(runner, job_id, cursor)
    return await runner.look(job_id)


async def _print_new(runner: JobRunner, job_id: JobId, cursor: int) -> int:
    while (found := await page(runner, job_id, offset=cursor, limit=_PAGE)).cursor > cursor:
        cursor = found.cursor
        out.print(Text(found.text), end="")
    return cursor


def _tell(line: Status, status: JobStatus) -> None:
    text = str(status.state)
    if status.progress is not None:
        total = f"/{status.progress.total}" if status.progress.total else ""
        text += f"  {status.progress.done}{total} tests, {status.progress.failed} failed"
    line.update(Text(text))
