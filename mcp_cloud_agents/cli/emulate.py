"""`emulate`: an AWS on this machine, to try the cloud path without an account."""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
from typing import Annotated, Any

import typer

from mcp_cloud_agents.cli.session import REFUSED, say, write
from mcp_cloud_agents.settings import load

_OUTPUTS = "emulated-aws.json"


def emulate(
    port: Annotated[
        int, typer.Option(metavar="PORT", help="On 127.0.0.1; 0: any free one.", min=0, max=65_535)
    ] = 4_566,
) -> None:
    """Serve an emulated AWS on loopback until Ctrl-C: S3, Batch that runs jobs, logs, events.

    It keeps all in memory, costs nothing and needs no account; its jobs run in the local sandbox.
    """
    try:
        from mcp_cloud_agents.emulator.bootstrap import bootstrap, make_team_table
        from mcp_cloud_agents.emulator.emulator import serve
        from mcp_cloud_agents.emulator.options import Options
    except ImportError as exc:
        say(f"error emulator_missing: {exc}")
        say("next  pip install 'mcp-cloud-agents[emulator]'")
        raise typer.Exit(REFUSED) from exc
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    options = Options()
    with serve(options, port) as emulator:
        made = bootstrap(emulator.endpoint, options.region)
        team = make_team_table(emulator.endpoint, options.region)
        write(_introduced(emulator.described(), _kept(made | team), team))
        ended.wait()


def _kept(outputs: dict[str, Any]) -> str:
    """The outputs in a file, as `terraform output -json` prints them; its path."""
    folder = load().state_dir
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, _OUTPUTS)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(outputs, file, indent=2)
    return path


def _introduced(told: dict[str, Any], outputs: str, team: dict[str, Any]) -> str:
    exports = " ".join(f"{name}={shlex.quote(text)}" for name, text in told["environment"].items())
    return (
        f"AWS is emulated on {told['endpoint']} (account {told['account_id']}, {told['region']}).\n"
        "Only this machine reaches it; Ctrl-C ends it, and nothing of it stays.\n\n"
        "In another terminal, and for the MCP server you want to use it:\n"
        f"  export {exports}\n"
        f"  mcp-cloud-agents configure aws --from-terraform {shlex.quote(outputs)}\n"
        "  mcp-cloud-agents submit tests --backend aws_batch\n\n"
        "To try a budget that a team shares, in the configuration file:\n"
        f'  [budget.team]\n  table = "{team["team_budget_table"]["value"]}"\n'
    )
