"""The rules of the house that a linter cannot say. Each failure says what to run or to do."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mcp_cloud_agents
from mcp_cloud_agents.cli.schemas import schema_files

PACKAGE = Path(mcp_cloud_agents.__file__).parent
ROOT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60
# rich is not among them: the SDK's own set-up of logging imports it where it is installed (20 ms).
HEAVY = (
    *("boto3", "httpx", "typer", "jsonschema", "sqlite3", "uv", "pydantic_ai"),
    *("mcp_cloud_agents.cli", "mcp_cloud_agents.worker", "mcp_cloud_agents.sandbox"),
)
HELLO: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    },
    "server/discover": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}


def named(path: Path) -> str:
    """The path as a person looks it up."""
    return str(path.relative_to(ROOT))


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"run .venv/bin/lint-imports\n{done.stdout}{done.stderr}"


def test_init_files_are_empty() -> None:
    full = [named(path) for path in SOURCES if path.name == "__init__.py" and path.read_bytes()]
    assert full == [], "move what is in them to a file that is named as the thing"


def test_files_are_short() -> None:
    lines = {named(path): len(path.read_text().splitlines()) for path in SOURCES}
    long = {name: count for name, count in lines.items() if count > MAX_FILE_LINES}
    assert long == {}, f"at most {MAX_FILE_LINES} lines a file: split it by what changes together"


def functions(node: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions below a node, at any depth."""
    below = [one for child in ast.iter_child_nodes(node) for one in ast.walk(child)]
    return [one for one in below if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without those of the functions inside it."""
    inside = {n for one in functions(function) for n in range(one.lineno, one.end_lineno or 0)}
    return len(set(range(function.lineno, (function.end_lineno or 0) + 1)) - inside)


def test_functions_are_short() -> None:
    long = [
        f"{named(path)}:{function.lineno} {function.name}"
        for path in SOURCES
        for function in functions(ast.parse(path.read_text()))
        if own_lines(function) > MAX_FUNCTION_LINES
    ]
    assert long == [], f"at most {MAX_FUNCTION_LINES} lines a function: name its steps"


def test_nothing_prints_but_the_command_line() -> None:
    printing = [
        f"{named(path)}:{node.lineno}"
        for path in SOURCES
        if "cli" not in path.relative_to(PACKAGE).parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == [], "stdout belongs to the protocol: log, or give the value back"


def test_nothing_is_left_to_do_in_the_code() -> None:
    unfinished = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b")
    left = [
        f"{named(path)}:{number}"
        for path in SOURCES
        for number, text in comments(path)
        if unfinished.search(text)
    ]
    left += [named(path) for path in SOURCES if "NotImplementedError" in path.read_text()]
    assert left == [], "finish it, or take it out and open an issue"


def test_every_exception_to_a_rule_carries_its_reason() -> None:
    bare = re.compile(
        r"#\s*(?:noqa(?::\s*[A-Z0-9, ]+)?|(?:type|pyright):\s*ignore(?:\[[^\]]*\])?)$"
    )
    unexplained = [
        f"{named(path)}:{number}"
        for path in SOURCES
        for number, text in comments(path)
        if bare.search(text.rstrip())
    ]
    assert unexplained == [], "write the reason after two spaces on the same line"


def test_tool_schemas_are_what_the_code_says() -> None:
    folder = ROOT / "tool_schemas"
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    wanted = schema_files()
    stale = sorted(name for name in there | wanted if there.get(name) != wanted.get(name))
    assert stale == [], "run ./dev schemas and commit the result"


@pytest.mark.parametrize("method", sorted(HELLO))
def test_the_first_answer_needs_none_of_the_heavy_libraries(method: str, tmp_path: Path) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": method, "params": HELLO[method]}
    with (tmp_path / "imports").open("w+") as told:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "mcp_cloud_agents", "serve"],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(hello) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        process.communicate(timeout=60)
        told.seek(0)
        imported = {line.rpartition("|")[2].strip() for line in told}
    assert "result" in answer
    assert "mcp_cloud_agents.server.app" in imported
    heavy = {name for name in imported if any(f"{name}.".startswith(f"{one}.") for one in HEAVY)}
    assert heavy == set(), "import it where it is first used, see mcp_cloud_agents/__main__.py"
