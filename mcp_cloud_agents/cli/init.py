"""`init`: a commented configuration for this repository, and what the clients' own files need."""

from __future__ import annotations

import os
from typing import NoReturn

import typer

from mcp_cloud_agents.agents.repository_config import FILE
from mcp_cloud_agents.cli.session import REFUSED, say, write
from mcp_cloud_agents.snapshots.worktree import top_of

CONFIG = """\
# mcp-cloud-agents: how jobs of this repository run. Every key may be left out.
# It is read from the tree that is sent. It chooses commands inside the sandbox and tightens limits;
# it cannot raise a limit, open the network of the run, or name a secret.

# [tests]
# command = "pytest -q"      # default: found from the tree
# runner = "pytest"          # pytest, unittest, jest, vitest, go, cargo; default: from command

# [setup]                    # replaces what would be detected; runs with network, without secrets
# commands = ["uv venv /env/venv", "uv pip install -r requirements.txt"]
# inputs = ["requirements*.txt"]      # the environment is made anew when one of these changes

# [limits]                   # each counts only where it is tighter than the person's own
# timeout_minutes = 10
# memory_mib = 2048
# processes = 256
# disk_mib = 4096
"""
CLIENTS = """\

Codex, ~/.codex/config.toml:

[mcp_servers.cloud_agents]
command = "mcp-cloud-agents"
args = ["serve"]
required = true
startup_timeout_sec = 20
tool_timeout_sec = 120

Claude Code, .mcp.json in this repository:

{"mcpServers": {"cloud_agents": {
  "type": "stdio", "command": "mcp-cloud-agents", "args": ["serve"],
  "timeout": 120000, "alwaysLoad": true}}}

Conductor, .conductor/settings.toml, so that an archived workspace ends its jobs:

[scripts]
archive = "mcp-cloud-agents cancel --workspace \\"$CONDUCTOR_WORKSPACE_PATH\\""
"""


def init() -> None:
    """Set up this repository. Nothing is overwritten.

    Writes a commented .cloud-agents/config.toml where there is none, and prints what the clients'
    own files need.
    """
    top = top_of(os.getcwd())
    if top is None:
        _refuse("this is no git worktree", "Go to one, or run `git init`.")
    path = os.path.join(top, FILE)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(CONFIG)
    except FileExistsError:
        if not os.path.isfile(path):
            _refuse(f"{path} cannot be written", "Another kind of file stands in its way.")
        say(f"{path} is there already; it was left as it is")
    except OSError as exc:
        _refuse(f"{path} cannot be written: {exc.strerror}", "Give yourself write permission.")
    else:
        say(f"wrote {path}: all of it is comments; change what you need")
    write(CLIENTS)


def _refuse(what: str, hint: str) -> NoReturn:
    say(f"error: {what}")
    say(f"next  {hint}")
    raise typer.Exit(REFUSED)
