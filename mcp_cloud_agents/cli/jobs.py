"""`jobs`: the newest jobs, whoever started them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mcp_cloud_agents.cli.session import out, print_json, run
from mcp_cloud_agents.server.tools.list_jobs import job_line

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.server.answers import JobLine


def jobs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many.")] = 20,
    *,
    here: Annotated[bool, typer.Option("--here", help="Only those of this worktree.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """List jobs, newest first."""

    async def work(runner: JobRunner) -> list[JobLine]:
        where = os.getcwd() if here else None
        records = await runner.latest(workspace=where, limit=limit)
        return [await job_line(runner, record) for record in records]

    found = run(work)
    if as_json:
        print_json(json.dumps([line.model_dump() for line in found], ensure_ascii=False))
        return
    if not found:
        out.print("no jobs yet: mcp-cloud-agents submit tests")
        return
    table = Table("job", "created", "state", "verdict", "command", "workspace", box=None)
    for line in found:
        cells = (line.job_id, line.created_at, line.state, line.verdict or "", line.command)
        table.add_row(*map(Text, (*cells, line.workspace)))
    out.print(table)
