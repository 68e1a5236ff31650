"""The command line: the same jobs as the tools, for people. One command a file."""

from __future__ import annotations

import typer

from mcp_cloud_agents.cli import attach, cancel, doctor, jobs, logs, schemas, submit

app = typer.Typer(
    name="mcp-cloud-agents",
    help="Run tests and commands on your exact working tree in sandboxed jobs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def serve() -> None:
    """Serve MCP over stdin and stdout (what an MCP client starts)."""
    from mcp_cloud_agents.bootstrap import serve_stdio

    serve_stdio()


app.add_typer(submit.app, name="submit")
app.command("jobs")(jobs.jobs)
app.command("attach")(attach.attach)
app.command("logs")(logs.logs)
app.command("cancel")(cancel.cancel)
app.command("doctor")(doctor.doctor)
app.command("schemas")(schemas.schemas)
