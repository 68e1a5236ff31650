"""What README and docs/ say is true: commands, targets, keys, codes, files, dependencies."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

import mcp_cloud_agents
from mcp_cloud_agents.agents.repository_config import (
    DeclaredLimits,
    DeclaredSetup,
    DeclaredTests,
    RepositoryConfig,
)
from mcp_cloud_agents.cli.app import app
from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.domain.limit_knobs import LimitKnobs
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.settings import PREFIX, Knobs, load

ROOT = Path(mcp_cloud_agents.__file__).parent.parent
README = ROOT / "README.md"
DOCS = (README, *sorted((ROOT / "docs").glob("*.md")))
PROGRAM = "mcp-cloud-agents"
FROM_THE_FILE_ONLY = {"aws", "budget", "fix", "secrets", "setup_env"}


def numbered(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of each line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        yield f"{path.name}:{number}", line


def code(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of each line of a code block and of each inline piece of code."""
    inside = False
    for place, line in numbered(path):
        if line.startswith("```"):
            inside = not inside
        elif inside:
            yield place, line
        else:
            yield from ((place, piece) for piece in re.findall(r"`([^`]+)`", line))


def command_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Arguments of each command line that starts our program, wherever it stands in a line."""
    for place, line in code(path):
        script = re.fullmatch(r'\w+ = "((?:[^"\\]|\\.)*)"', line.strip())
        text = script[1].replace('\\"', '"') if script else line.strip()
        if text.startswith(f"{PROGRAM} ") and "…" not in text and "─" not in text:
            yield place, shlex.split(text, comments=True)[1:]


def parsed(arguments: list[str]) -> None:
    """Go through the real commands, to the last option, and run nothing."""
    command: Any = typer.main.get_command(app)
    words = list(arguments)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


def test_the_two_commands_are_targets_of_the_script() -> None:
    lines = [line.split() for _, line in code(README) if line.startswith("./dev ")]
    used = {words[1] for words in lines}
    script = (ROOT / "dev").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+)\)$", script, re.MULTILINE))
    assert {"demo", "test"} <= used, "README shows the two commands ./dev demo and ./dev test"
    assert used <= targets, "README names targets that ./dev does not have"


@pytest.mark.parametrize(
    ("place", "arguments"), [found for path in DOCS for found in command_lines(path)]
)
def test_every_command_line_is_one_that_the_program_takes(place: str, arguments: list[str]) -> None:
    try:
        parsed(arguments)
    except Exception as exc:  # noqa: BLE001  whatever is wrong, the place must be named
        pytest.fail(f"{place}: {PROGRAM} {shlex.join(arguments)}: {exc}")


def test_every_command_is_in_the_readme() -> None:
    command: Any = typer.main.get_command(app)
    shown = {words[0] for _, words in command_lines(README)} | {"serve"}
    own = {"init", "schemas"}  # for one time, and for who works on this project
    assert set(command.commands) - own <= shown, "show each command once in README.md"


def table(path: Path, heading: str) -> dict[str, list[str]]:
    """First cell to the other cells, of the first table below a heading; code marks taken off."""
    text = path.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows is not None, f"{path.name}: no table below {heading!r}"
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows[0].splitlines()[2:]]
    return {row[0].strip(" `"): [cell.strip(" `") for cell in row[1:]] for row in cells}


def test_the_persons_keys_are_told_with_default_and_variable() -> None:
    told = table(ROOT / "docs/configuration.md", "## The person's file")
    keys = load({"HOME": "/nowhere"}, cwd="/").sources
    assert sorted(told) == sorted(keys), "docs/configuration.md: one row a key of settings.py"
    variables = {
        key: f"{PREFIX}{key.replace('.', '_').upper()}" for key in keys.keys() - FROM_THE_FILE_ONLY
    }
    assert {key: cells[2] for key, cells in told.items() if key in variables} == variables
    assert {key: told[key][0] for key in defaults()} == defaults()


def defaults() -> dict[str, str]:
    """The defaults that do not depend on the machine."""
    of_limits = {
        f"limits.{one.name}": getattr(LimitKnobs(), one.name) for one in fields(LimitKnobs)
    }
    plain = {one.name: getattr(Knobs(), one.name) for one in fields(Knobs)}
    numbers = {**plain, **of_limits}
    return {
        key: f"{value:g}" if isinstance(value, int | float) else str(value)
        for key, value in numbers.items()
        if isinstance(value, int | float | str) and value != ""
    }


def test_the_repositorys_keys_are_told() -> None:
    told = table(ROOT / "docs/configuration.md", "## The repository's file")
    shapes = {"tests": DeclaredTests, "setup": DeclaredSetup, "limits": DeclaredLimits}
    assert {one.name for one in fields(RepositoryConfig)} == set(shapes)
    keys = [f"{name}.{one.name}" for name, shape in shapes.items() for one in fields(shape)]
    assert sorted(told) == sorted(keys), "docs/configuration.md: one row a key of the file"


def codes(kind: type[AgentsError]) -> set[str]:
    """Codes of an error and of all below it."""
    return {kind.code}.union(*map(codes, kind.__subclasses__()))


def test_every_error_code_is_told_with_what_to_do() -> None:
    told = table(ROOT / "docs/operations.md", "### Errors")
    assert sorted(told) == sorted(codes(AgentsError)), "docs/operations.md: one row a code"
    assert all(all(cells) for cells in told.values())


def test_every_cause_is_told_with_what_to_do() -> None:
    told = table(ROOT / "docs/operations.md", "### Causes")
    assert sorted(told) == sorted(CauseKind), "docs/operations.md: one row a kind of cause"
    assert all(all(cells) for cells in told.values())


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_the_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert missing == [], f"{path.name} links to what is not there"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_files_that_the_documents_name_exist(path: Path) -> None:
    """A name like `worker/job.py` is one of the package, or of the repository."""
    pieces = [
        piece for _, line in code(path) for piece in re.findall(r"\b[a-z_]+/[\w/]+\.py\b", line)
    ]
    package = ROOT / "mcp_cloud_agents"
    missing = [name for name in pieces if not any((top / name).exists() for top in (package, ROOT))]
    assert missing == [], f"{path.name} names files that are not there"


def test_every_dependency_is_told_with_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert listed is not None
    names = re.findall(r'"([\w.-]+?)[><=~]', listed[1])
    told = table(ROOT / "docs/architecture.md", "## Dependencies")
    assert sorted(told) == sorted(names), "docs/architecture.md: one row a dependency"
