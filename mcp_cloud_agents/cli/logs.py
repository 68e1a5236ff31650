"""`logs JOB`: the log of a job, as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mcp_cloud_agents.cli.session import out, run
from mcp_cloud_agents.delegation.logs import page, search, tail
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner

_PAGE = 1 << 20
_MATCHES = 1_000


def logs(
    job: Annotated[str, typer.Argument(help="The job's id.")],
    lines: Annotated[int | None, typer.Option("--tail", min=1, help="Only the last lines.")] = None,
    offset: Annotated[int, typer.Option("--offset", min=0, help="From this byte on.")] = 0,
    find: Annotated[str | None, typer.Option("--search", help="Only lines with this text.")] = None,
) -> None:
    """Print a job's log (control sequences neutralised)."""

    async def work(runner: JobRunner) -> None:
        job_id = JobId(job)
        await runner.status(job_id)
        if find is not None:
            found = await search(runner, job_id, text=find, around=0, most=_MATCHES, offset=offset)
            for match in found.matches:
                out.print(Text(f"{match.line}: {match.text}"))
        elif lines is not None:
            out.print(Text((await tail(runner, job_id, lines=lines, limit=_PAGE)).text), end="")
        else:
            await _whole(runner, job_id, offset)

    run(work)


async def _whole(runner: JobRunner, job_id: JobId, cursor: int) -> None:
    while (piece := await page(runner, job_id, offset=cursor, limit=_PAGE)).cursor > cursor:
        cursor = piece.cursor
        out.print(Text(piece.text), end="")
