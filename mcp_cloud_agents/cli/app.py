"""The command line: the same jobs as the tools, for people. One command a file.

Exit codes: 0 passed, or what the job's own command ended with; 1 failed; 2 refused or wrong usage;
3 not done yet; 130 interrupted (jobs that were started go on).
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from mcp_cloud_agents.cli import (
    apply,
    approvals,
    approve,
    artifact,
    attach,
    audit,
    cancel,
    configure,
    costs,
    doctor,
    emulate,
    init,
    jobs,
    logs,
    policy,
    schemas,
    stop,
    submit,
    trust,
)
from mcp_cloud_agents.cli.session import CLOSED, REFUSED, say, silence_stdout

_EXITS = (
    "Exit codes: 0 passed, or the command's own; 1 failed; 2 refused or wrong usage; 3 not done; "
    "130 interrupted."
)

app = typer.Typer(
    name="mcp-cloud-agents",
    help="Run tests and commands on your exact working tree in sandboxed jobs.",
    epilog=_EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  typer hands the option's value over
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mcp-cloud-agents {version('mcp-cloud-agents')}")
        raise typer.Exit


@app.callback()
def before(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Run tests and commands on your exact working tree in sandboxed jobs."""
    del version
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        os.getcwd()
    except FileNotFoundError:
        say("error: the current folder does not exist any more; cd to another one")
        raise typer.Exit(REFUSED) from None


@app.command()
def serve() -> None:
    """Serve MCP over stdin and stdout (what an MCP client starts)."""
    from mcp_cloud_agents.bootstrap.server import serve_stdio

    serve_stdio()


app.add_typer(submit.app, name="submit")
app.command("jobs")(jobs.jobs)
app.command("attach")(attach.attach)
app.command("logs")(logs.logs)
app.command("artifact")(artifact.artifact)
app.command("apply")(apply.apply)
app.command("cancel")(cancel.cancel)
app.command("approve")(approve.approve)
app.command("deny")(approve.deny)
app.command("approvals")(approvals.approvals)
app.command("costs")(costs.costs)
app.add_typer(policy.app, name="policy")
app.command("trust")(trust.trust)
app.command("untrust")(trust.untrust)
app.command("stop")(stop.stop)
app.command("resume")(stop.resume)
app.add_typer(configure.app, name="configure")
app.add_typer(audit.app, name="audit")
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
app.command("emulate")(emulate.emulate)
app.command("schemas")(schemas.schemas)


def start() -> None:
    """Run the command that the arguments name. A reader of stdout that went away is no error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # started with it closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  as long as the process
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        sys.exit(CLOSED)
