"""`schemas`: the tools' schemas as files, generated from the code and held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from mcp_cloud_agents.bootstrap.runner import build_runner
from mcp_cloud_agents.cli.session import FAILED, REFUSED, say, write

if TYPE_CHECKING:
    from mcp.types import Tool


def schemas(
    to: Annotated[
        Path | None,
        typer.Option("--write", metavar="FOLDER", help="Write one JSON file a tool into it."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--check", metavar="FOLDER", help="Compare its files with the code."),
    ] = None,
) -> None:
    """Print the tools' JSON schemas. Or write them to a folder, or check a folder."""
    if to is not None and against is not None:
        raise typer.BadParameter("--write and --check exclude each other.")
    files = schema_files()
    try:
        if to is not None:
            _write(to, files)
        if against is not None:
            _check(against, files)
    except OSError as exc:
        say(f"error: {exc.filename or to or against}: {exc.strerror}")
        raise typer.Exit(REFUSED) from exc
    if to is None and against is None:
        body = {name: json.loads(text) for name, text in files.items()}
        write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def schema_files() -> dict[str, str]:
    """File name to content, one a tool."""
    from mcp_cloud_agents.server.app import build_server
    from mcp_cloud_agents.server.front import Front

    server = build_server(Front("/", build_runner))
    tools = anyio.run(server.list_tools)
    return {f"{tool.name}.json": _content(tool) for tool in tools}


def _content(tool: Tool) -> str:
    body = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _write(folder: Path, files: dict[str, str]) -> None:
    """Files of other names are left alone: the folder may be one of the person's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for stale in sorted({path.name for path in folder.glob("*.json")} - files.keys()):
        say(f"no tool is called like this, remove it: {folder / stale}")


def _check(folder: Path, files: dict[str, str]) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    if there != files:
        stale = sorted(
            name for name in there.keys() | files.keys() if there.get(name) != files.get(name)
        )
        say(f"out of date: {', '.join(stale)}; run ./dev schemas and commit the result")
        raise typer.Exit(FAILED)
