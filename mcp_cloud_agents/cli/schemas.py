"""`schemas`: the tools' schemas as files, generated from the code and held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from mcp_cloud_agents.bootstrap import build_runner
from mcp_cloud_agents.cli.session import err, out
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front

if TYPE_CHECKING:
    from mcp.types import Tool


def schemas(
    write: Annotated[
        Path | None, typer.Option("--write", help="Write one JSON file a tool into this folder.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Compare this folder with the code.")
    ] = None,
) -> None:
    """Print the schemas of all tools, write them, or check that they are up to date."""
    files = schema_files()
    if write is not None:
        _write(write, files)
    elif check is not None:
        _check(check, files)
    else:
        out.print_json(json.dumps({name: json.loads(text) for name, text in files.items()}))


def schema_files() -> dict[str, str]:
    """File name to content, one a tool."""
    server = build_server(Front("/", build_runner))
    tools = anyio.run(server.list_tools)
    return {f"{tool.name}.json": _content(tool) for tool in tools}


def _content(tool: Tool) -> str:
    body = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {path.name for path in folder.glob("*.json")} - files.keys():
        (folder / stale).unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _check(folder: Path, files: dict[str, str]) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    if there != files:
        stale = sorted(
            name for name in there.keys() | files.keys() if there.get(name) != files.get(name)
        )
        err.print(f"out of date: {', '.join(stale)}; run ./dev schemas and commit the result")
        raise typer.Exit(1)
