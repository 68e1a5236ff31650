from __future__ import annotations

import json

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.runners.detect import (
    DETECTION_FILES,
    RUNNERS,
    Choice,
    choose,
    runner_named,
)


def package(**content: object) -> dict[str, bytes]:
    return {"package.json": json.dumps(content).encode()}


def found(names: set[str], files: dict[str, bytes] | None = None) -> Choice:
    return choose(None, frozenset(names), files or {})


NOTHING: set[str] = set()
NO_FILES: dict[str, bytes] = {}


@pytest.mark.parametrize(
    ("names", "files", "command", "runner"),
    [
        ({"pytest.ini"}, NO_FILES, "python3 -m pytest", "pytest"),
        ({"a/conftest.py"}, NO_FILES, "python3 -m pytest", "pytest"),
        (NOTHING, {"pyproject.toml": b"[tool.pytest.ini_options]"}, "python3 -m pytest", "pytest"),
        (NOTHING, {"requirements-dev.txt": b"pytest-cov>=5"}, "python3 -m pytest", "pytest"),
        (NOTHING, {"setup.cfg": b"[tool:pytest]\n"}, "python3 -m pytest", "pytest"),
        (NOTHING, {"tox.ini": b"[pytest]\n"}, "python3 -m pytest", "pytest"),
        ({"test_a.py"}, NO_FILES, "python3 -m unittest", "unittest"),
        ({"tests/__init__.py", "tests/test_a.py"}, NO_FILES, "python3 -m unittest", "unittest"),
        ({"tests/test_a.py"}, NO_FILES, "python3 -m unittest discover -s tests", "unittest"),
        (NOTHING, package(scripts={"test": "jest --coverage"}), "npm test", "jest"),
        (NOTHING, package(scripts={"test": "tsc && vitest"}), "npm test", "vitest"),
        (NOTHING, package(devDependencies={"jest": "1"}), "npx jest", "jest"),
        (NOTHING, package(dependencies={"vitest": "1"}), "npx vitest run", "vitest"),
        (
            NOTHING,
            package(scripts={"test": "jest && eslint"}, devDependencies={"jest": "1"}),
            "npx jest",
            "jest",
        ),
        ({"go.mod", "a_test.go"}, NO_FILES, "go test ./...", "go"),
        ({"Cargo.toml"}, NO_FILES, "cargo test", "cargo"),
        ({"go.mod", "a_test.go", "scripts/test_x.py"}, NO_FILES, "go test ./...", "go"),
        (
            {"conftest.py", "Cargo.toml"},
            package(scripts={"test": "jest"}),
            "python3 -m pytest",
            "pytest",
        ),
    ],
)
def test_a_tree_tells_its_usual_command(
    names: set[str], files: dict[str, bytes], command: str, runner: str
) -> None:
    assert found(names, files) == Choice(command=command, runner=runner)


def test_a_tree_without_tests_tells_what_to_pass() -> None:
    choice = found({"README.md"})
    assert (choice.command, choice.runner) == ("", None)
    assert "pass a command" in choice.problem


def test_a_package_file_that_is_nonsense_is_passed_over() -> None:
    for data in (b"[", b"[]", b"\xff", b'{"scripts": 1}', b"[" * 100_000):
        assert found(set(), {"package.json": data}).runner is None


@pytest.mark.parametrize(
    ("command", "runner"),
    [
        ("pytest -q tests", "pytest"),
        ("uv run pytest", "pytest"),
        ("python -m unittest", "unittest"),
        ("npx jest", "jest"),
        ("yarn jest", "jest"),
        ("npm test", "jest"),
        ("npm run unit", "vitest"),
        ("yarn unit", "vitest"),
        ("cd x && go test ./...", "go"),
        ("cargo +nightly test", "cargo"),
        ("cargo build", None),
        ("go vet ./...", None),
        ("npm run lint", None),
        ("npm install", None),
        ("make test", None),
        ("tox", None),
    ],
)
def test_a_command_is_recognised_as_a_run_of(command: str, runner: str | None) -> None:
    scripts = {"test": "jest", "unit": "vitest run", "lint": "eslint ."}
    choice = choose(command, frozenset(), package(scripts=scripts))
    assert (choice.command, choice.runner) == (command, runner)
    assert bool(choice.problem) is (runner is None)


def test_every_runner_has_its_name_and_is_fresh_for_each_job() -> None:
    assert {runner_named(name).name for name in RUNNERS} == RUNNERS
    assert runner_named("go") is not runner_named("go")
    with pytest.raises(InvalidArgument, match="no test runner 'mocha'"):
        runner_named("mocha")


def test_the_files_to_read_are_named_by_their_path_from_the_top() -> None:
    assert {"pyproject.toml", "package.json", "setup.cfg", "tox.ini"} <= DETECTION_FILES
    assert not any(path.startswith("/") or ".." in path for path in DETECTION_FILES)
