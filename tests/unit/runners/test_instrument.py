from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.runners.detect import runner_named
from mcp_cloud_agents.runners.runner import Instrumented

PYTEST_OPTIONS = "-o junit_family=xunit1 --junitxml=/report/junit.xml"
JEST = "--ci --json --outputFile=/report/jest.json --testLocationInResults"
VITEST = (
    "--run --reporter=default --reporter=junit --outputFile.junit=/report/junit.xml "
    "--reporter=json --outputFile.json=/report/vitest.json"
)
CARGO = "cargo locate-project --workspace --message-format plain"
CARGO_ROOT = ">/report/cargo.root 2>/dev/null"
GO_LIST = "go list -find -f '{{.ImportPath}} {{.Dir}}' ./... >/report/packages 2>/dev/null"


def test_pytest_is_instrumented_by_its_environment() -> None:
    assert runner_named("pytest").instrument("make test") == Instrumented(
        command="make test",
        env=(
            ("PYTEST_ADDOPTS", PYTEST_OPTIONS),
            ("PYTEST_PLUGINS", "job_report"),
            ("PYTHONPATH", "/tools/pytest"),
            ("JOB_REPORT", "/report/events.jsonl"),
            ("JOB_REPORT_ADDOPTS", PYTEST_OPTIONS),
        ),
    )


def test_variables_the_command_sets_for_pytest_keep_ours() -> None:
    changed = runner_named("pytest").instrument("PYTHONPATH=src PYTEST_ADDOPTS='-k a' pytest")
    assert changed.command == (
        "PYTHONPATH=/tools/pytest:src PYTEST_ADDOPTS=-o\\ junit_family=xunit1\\ "
        "--junitxml=/report/junit.xml\\ '-k a' pytest"
    )


@pytest.mark.parametrize(
    ("name", "command", "changed"),
    [
        (
            "unittest",
            "python -m unittest discover -s tests 2>&1 | tail",
            "python -m xmlrunner discover -s tests --output-file /report/junit.xml 2>&1 | tail",
        ),
        (
            "unittest",
            "cd a && python3 -m unittest",
            "cd a && python3 -m xmlrunner --output-file /report/junit.xml",
        ),
        ("jest", "npx jest -t 'a b' | cat", f"npx jest {JEST} -t 'a b' | cat"),
        ("jest", "npm test", f"npm test -- {JEST}"),
        ("jest", "npm ci && npm test -- src && ls", f"npm ci && npm test -- src {JEST} && ls"),
        ("jest", "yarn test", f"yarn test {JEST}"),
        ("vitest", "npx vitest", f"npx vitest {VITEST}"),
        ("vitest", "npx vitest run src", f"npx vitest run {VITEST} src"),
        ("go", "go test ./...", f"{{ {GO_LIST}; go test -json -count=1 ./...; }}"),
        (
            "go",
            "cd a && CGO_ENABLED=0 go test -count=2 . 2>&1",
            f"cd a && {{ {GO_LIST}; CGO_ENABLED=0 go test -json -count=2 . 2>&1; }}",
        ),
        ("cargo", "cargo test", f"{{ {CARGO} {CARGO_ROOT}; cargo test --no-fail-fast; }}"),
        (
            "cargo",
            "cd a || cargo test -q x --manifest-path b/Cargo.toml -- -q && ls",
            f"cd a || {{ {CARGO} --manifest-path b/Cargo.toml {CARGO_ROOT}; cargo test "
            "--no-fail-fast  x --manifest-path b/Cargo.toml -- -q; } && ls",
        ),
        (
            "cargo",
            "cargo t --no-fail-fast && cargo test -p b",
            "cargo t --no-fail-fast && cargo test --no-fail-fast -p b",
        ),
    ],
)
def test_arguments_for_the_report_are_inserted(name: str, command: str, changed: str) -> None:
    instrumented = runner_named(name).instrument(command)
    assert (instrumented.command, instrumented.notes) == (changed, ())


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("unittest", "make test"),
        ("unittest", "python -m unittest a; python -m unittest b"),
        ("jest", "make test"),
        ("jest", "npm test --workspaces"),
        ("vitest", "npx vitest run a && npx vitest run b"),
        ("go", "go test ./... | tail"),
        ("go", "make test"),
        ("cargo", "cargo test | tail"),
    ],
)
def test_a_command_that_cannot_be_changed_stays_and_says_so(name: str, command: str) -> None:
    instrumented = runner_named(name).instrument(command)
    assert instrumented.command == command
    assert instrumented.notes


@pytest.mark.parametrize(
    ("name", "inside", "file"),
    [
        ("pytest", "/tools/pytest", "job_report.py"),
        ("unittest", "/tools/xmlrunner/xmlrunner", "__main__.py"),
    ],
)
def test_the_tools_of_a_runner_are_folders_that_exist(name: str, inside: str, file: str) -> None:
    (tool,) = runner_named(name).tools()
    assert tool.inside == inside
    assert (Path(tool.host) / file).is_file()
