"""The cause of a failed set-up: which lines are kept, and which hint is given."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.worker.run import Ran
from mcp_cloud_agents.worker.setup_failure import Excerpt, explain


def an_excerpt(text: str) -> Excerpt:
    excerpt = Excerpt()
    excerpt.add(text.encode())
    return excerpt


def the_cause(text: str, exit_code: int | None = 1, stopped: CauseKind | None = None) -> Cause:
    ran = Ran(exit_code=exit_code, stopped=stopped, duration_s=1.0, peak_memory_mib=1)
    return explain("uv sync", ran, an_excerpt(text), SetupPlan(), Limits())


def test_a_short_output_is_kept_whole() -> None:
    assert an_excerpt("one\n\n  two  \nthree").lines() == ("one", "  two", "three")


def test_of_a_long_output_the_first_errors_and_the_last_lines_are_kept() -> None:
    lines = [f"line {number}" for number in range(100)]
    lines[10], lines[12] = "error: the reason", "gcc: fatal error: gone"
    found = an_excerpt("\n".join(lines)).lines()
    assert found == ("error: the reason", "gcc: fatal error: gone", *lines[-18:])


def test_an_endless_output_takes_bounded_room() -> None:
    excerpt = Excerpt()
    excerpt.add(b"error: first\n")
    for _ in range(1_000):
        excerpt.add(b"x" * 9_999 + b"\n")
    excerpt.add(b"last\n")
    assert (excerpt.lines()[0], excerpt.lines()[-1]) == ("error: first", "last")
    assert len(excerpt.text()) < 200_000


def test_control_characters_do_not_reach_the_cause() -> None:
    assert an_excerpt("\x1b[31mred\x1b[0m\x07").lines() == ("red\ufffd",)


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("npm error code EAI_AGAIN", "The package registry could not be reached"),
        ("error: dns error: failed to lookup address information", "The package registry could"),
        ("invalid peer certificate: UnknownIssuer", "The registry's certificate is not trusted"),
        ("HTTP status client error (401 Unauthorized) for url", "The registry wants a login"),
        ("npm error code EUSAGE", "package.json and the lock file disagree"),
        ("x No solution found when resolving dependencies", "The declared versions cannot be met"),
        ("fatal error: libpq-fe.h: No such file or directory", "A package is built from source"),
        ("something else", "Correct what the excerpt tells"),
    ],
)
def test_known_failures_get_their_own_hint(output: str, hint: str) -> None:
    assert the_cause(output).hint.startswith(hint)


def test_a_python_that_cannot_be_had_is_told_with_the_plans_notes() -> None:
    ran = Ran(exit_code=2, stopped=None, duration_s=1.0, peak_memory_mib=1)
    plan = SetupPlan(notes=("python 3.14.0 is not used: because.",))
    assert explain("uv venv x", ran, an_excerpt("error: dns error"), plan, Limits()).hint == (
        "Install the Python that the project asks for, where jobs can reach it. "
        "python 3.14.0 is not used: because."
    )


def test_each_way_of_being_stopped_is_told() -> None:
    kinds = (CauseKind.TIMEOUT, CauseKind.OOM, CauseKind.DISK, CauseKind.CANCELLED)
    said = [the_cause("", None, kind) for kind in kinds]
    assert [(cause.kind, cause.message) for cause in said] == [
        (CauseKind.TIMEOUT, "Set-up did not end within 900 s: `uv sync`."),
        (CauseKind.OOM, "Set-up used more than 4096 MiB of memory: `uv sync`."),
        (CauseKind.DISK, "Set-up wrote more than 8192 MiB: `uv sync`."),
        (CauseKind.CANCELLED, "The job was cancelled during set-up."),
    ]


def test_a_sandbox_that_did_not_start_is_no_failed_command() -> None:
    assert the_cause("bwrap: no", None).kind is CauseKind.SANDBOX_START
