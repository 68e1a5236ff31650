"""`artifact JOB NAME`: a file that a job left, wherever the job ran."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from mcp_cloud_agents.cli.session import PASSED, REFUSED, run, say
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner

_PAGE = 4 << 20


def artifact(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as patch.diff, junit.xml.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="FILE", help="A new file; default: stdout.")
    ] = None,
) -> None:
    """Print a file that a job left, byte for byte."""

    async def work(runner: JobRunner) -> int:
        first = await runner.artifact(JobId(job), name, offset=0, limit=_PAGE)
        with _target(to) as file:
            file.write(first.data)
            at = first.next_offset
            while at < first.size:
                piece = await runner.artifact(JobId(job), name, offset=at, limit=_PAGE)
                file.write(piece.data)
                at = piece.next_offset
            file.flush()
        return PASSED

    raise typer.Exit(run(work))


def _target(path: str | None) -> BinaryIO:
    if path is None:
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        return open(path, "xb")
    except OSError as exc:
        say(f"error: {path}: {exc.strerror}")
        raise typer.Exit(REFUSED) from exc
