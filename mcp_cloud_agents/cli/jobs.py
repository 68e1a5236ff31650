"""`jobs`: the newest jobs, whoever started them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.session import run, say, write
from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.rendering import render_text

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.ports.records import Record

_MOST = 1_000
_GAP, _LEAST, _FOLDER = 2, 10, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One job in the list."""

    job_id: str
    created_at: str
    """UTC, ISO 8601."""
    state: str
    ended: str
    """The verdict, the exit code or the cause in a word; empty while the job is not done."""
    command: str
    workspace: str


def jobs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="How many.")] = 20,
    *,
    here: Annotated[bool, typer.Option("--here", help="Only those of this worktree.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List jobs, newest first. In a pipe: one line a job, tabs between the columns."""

    async def work(runner: JobRunner) -> None:
        where = os.getcwd() if here else None
        records = await runner.latest(workspace=where, limit=limit)
        found = [await _line(runner, record) for record in records]
        if as_json:
            write(json.dumps([asdict(line) for line in found], ensure_ascii=False) + "\n")
        elif not found:
            say("no jobs yet; start one: mcp-cloud-agents submit tests")
        elif sys.stdout.isatty():
            _print_table(found)
        else:
            for line in found:
                write("\t".join(asdict(line).values()) + "\n")

    run(work)


async def _line(runner: JobRunner, record: Record) -> Line:
    """One row; a job whose folder is gone or damaged is still listed."""
    spec = record.spec
    try:
        view = await runner.look(spec.id)
        state, ended = str(view.status.state), _ended(view)
    except (UnknownJob, JobCorrupt) as exc:
        state, ended = exc.code, ""
    return Line(
        job_id=spec.id,
        created_at=datetime.fromtimestamp(spec.created_at, UTC).isoformat(timespec="seconds"),
        state=state,
        ended=ended,
        command=_flat(spec.command),
        workspace=_flat(spec.snapshot.origin.workspace),
    )


def _ended(view: JobView) -> str:
    result, cause = view.result, view.status.cause
    if cause is not None:
        return str(cause.kind)
    if result is None:
        return ""
    return str(result.verdict.outcome) if result.verdict else f"exit {result.exit_code}"


def _flat(text: str) -> str:
    return " ".join(render_text(text).split())


def _print_table(found: list[Line]) -> None:
    """Ids are always whole, because they are there to be copied; the command gets what is left."""
    rows = [("job", "created", "state", "ended", "folder", "command"), *map(_cells, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    room = max(_LEAST, shutil.get_terminal_size().columns - sum(widths) - _GAP * len(widths) - 1)
    for row in rows:
        cells = [cell.ljust(width + _GAP) for cell, width in zip(row, widths, strict=False)]
        command = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        write("".join((*cells, command)).rstrip() + "\n")


def _cells(line: Line) -> tuple[str, ...]:
    when = datetime.fromisoformat(line.created_at).astimezone().strftime("%m-%d %H:%M")
    folder = os.path.basename(line.workspace)[:_FOLDER]
    return line.job_id, when, line.state, line.ended, folder, line.command
