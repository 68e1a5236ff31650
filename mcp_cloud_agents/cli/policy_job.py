"""The options that describe a job to ask a policy about."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.governance.policy_tests import SampleJob

Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="The subagent.")]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="What it does.")]
Backend = Annotated[str | None, typer.Option("--backend", metavar="NAME", help="Where it runs.")]
OfEngine = Annotated[Engine | None, typer.Option("--engine", help="Of a fix.")]
CostUsd = Annotated[float | None, typer.Option("--cost-usd", help="At most, in dollars.")]
Minutes = Annotated[float | None, typer.Option("--timeout-minutes", help="Of the run.")]
MemoryMib = Annotated[int | None, typer.Option("--memory-mib")]
Vcpus = Annotated[float | None, typer.Option("--vcpus", help="It is billed for.")]
Attempts = Annotated[int | None, typer.Option("--attempts", help="Of a fix.")]
Network = Annotated[
    bool | None, typer.Option("--network/--no-network", help="Its set-up has network.")
]
Secrets = Annotated[
    list[str] | None, typer.Option("--secret", metavar="NAME", help="May be repeated.")
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", metavar="PATH", help="Top of its worktree.")
]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="PATH", help="What it runs below that; may be repeated."),
]
Time = Annotated[str | None, typer.Option("--time", metavar="'mon 14:05'", help="When.")]


def sample_job(given: dict[str, Any]) -> SampleJob | None:
    """The job that these options describe; None: none was given."""
    import msgspec

    said = {name: value for name, value in given.items() if value is not None}
    try:
        return msgspec.convert(said, SampleJob) if said else None
    except msgspec.ValidationError as exc:
        raise typer.BadParameter(str(exc)) from exc
