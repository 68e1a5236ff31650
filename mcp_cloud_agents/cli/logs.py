"""`logs JOB`: the log of a job, as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.session import FAILED, PASSED, run, say, write
from mcp_cloud_agents.delegation.logs import page, search, tail
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner

_PAGE = 1 << 20
_MATCHES = 1_000


def logs(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    lines: Annotated[
        int | None, typer.Option("--tail", min=1, metavar="LINES", help="Only the last lines.")
    ] = None,
    offset: Annotated[
        int, typer.Option("--offset", min=0, metavar="BYTE", help="From this byte on.")
    ] = 0,
    find: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="Only lines that hold this text, numbered."),
    ] = None,
) -> None:
    """Print a job's log. Control sequences in it are neutralised."""
    if lines is not None and (offset or find is not None):
        raise typer.BadParameter("--tail goes with neither --offset nor --search.")

    async def work(runner: JobRunner) -> int:
        if find is not None:
            return await _search(runner, JobId(job), find, offset)
        if lines is not None:
            write((await tail(runner, JobId(job), lines=lines, limit=_PAGE)).text)
        else:
            await _whole(runner, JobId(job), offset)
        return PASSED

    raise typer.Exit(run(work))


async def _whole(runner: JobRunner, job_id: JobId, cursor: int) -> None:
    while (piece := await page(runner, job_id, offset=cursor, limit=_PAGE)).cursor > cursor:
        cursor = piece.cursor
        write(piece.text)


async def _search(runner: JobRunner, job_id: JobId, text: str, offset: int) -> int:
    """Like grep: 1 when nothing was found."""
    found = await search(runner, job_id, text=text, around=0, most=_MATCHES, offset=offset)
    for match in found.matches:
        write(f"{match.line}: {match.text}\n")
    if not found.matches:
        say("no line holds this text")
        return FAILED
    if found.cursor is not None:
        say(f"there are more; go on with --offset {found.cursor}")
    return PASSED
