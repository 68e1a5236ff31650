from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.causes import explain
from mcp_cloud_agents.domain.result import Cause, CauseKind


@pytest.mark.parametrize(
    ("head", "exit_code", "message"),
    [
        ("/bin/sh: 1: pytest: not found", 127, "The job has no program pytest."),
        ("bash: line 1: jest: command not found", 127, "The job has no program jest."),
        ("sh: 1: ./run.sh: not found", 127, "The job has no program ./run.sh."),
        ("make: ruff: No such file or directory", 127, "There is no program ruff in the job."),
        (
            "sh: 0: cannot open nope.sh: No such file",
            2,
            "There is no script nope.sh in the job.",
        ),
        ("", 127, "A program that the command calls does not exist in the job."),
        (
            "/bin/sh: 1: ./run.sh: Permission denied",
            126,
            "./run.sh cannot be run: it is not executable.",
        ),
        ("cannot execute binary file", 126, "A program that the command calls cannot be executed."),
        (
            "/usr/bin/python3: No module named pytest",
            1,
            "Python has no module pytest in the job's environment.",
        ),
        (
            "ERROR: Error importing plugin \"job_report\": No module named 'job_report'",
            4,
            "pytest could not load the plugin that reports its tests: something in the command "
            "replaces PYTHONPATH.",
        ),
        (
            'npm error Missing script: "test"',
            1,
            "npm found no package.json, or no such script in it.",
        ),
        ("go: cannot find main module, but found .git", 1, "go found no module here."),
        (
            "error: could not find `Cargo.toml` in `/workspace` or any parent directory",
            101,
            "cargo found no Cargo.toml here.",
        ),
        ("ModuleNotFoundError: No module named 'x'", 1, None),
        (
            "python3: can't open file '/workspace/x.py': [Errno 2] No such file or directory",
            2,
            "There is no script /workspace/x.py in the job.",
        ),
        ("grep: x: No such file or directory", 2, None),
        ("sh: 1: helper: not found\nall good", 1, None),
        ("sh: 1: pytest: not found", 0, None),
        ("sh: 1: pytest: not found", None, None),
    ],
)
def test_the_output_of_a_command_that_did_nothing_is_explained(
    head: str, exit_code: int | None, message: str | None
) -> None:
    cause = explain(head, exit_code, "make test")
    assert (cause.message if cause else None) == message
    assert cause is None or cause.hint


def test_a_cause_shows_the_line_with_its_surroundings_and_no_control_characters() -> None:
    lines = [f"before {n}" for n in range(30)]
    head = "\n".join([*lines, "\x1b[31msh: 1: pytest: not found", *lines])
    cause = explain(head, 127, "pytest")
    assert cause == Cause(
        kind=CauseKind.COMMAND_NOT_FOUND,
        message="The job has no program pytest.",
        hint="Add it to the project's requirements, or install it in setup commands.",
        excerpt=("before 28", "before 29", "sh: 1: pytest: not found", *lines[:17]),
    )


def test_endless_output_is_looked_at_in_part_only() -> None:
    assert explain("a: " * 1_000_000, 127, "x" * 100_000) is not None
