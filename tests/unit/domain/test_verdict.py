from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.result import Counts, Failure, FailureKind, Outcome, Verdict
from mcp_cloud_agents.domain.result import TestCase as Case
from mcp_cloud_agents.domain.result import TestReport as Report
from mcp_cloud_agents.domain.result import VerdictOutcome as Judged
from mcp_cloud_agents.domain.verdict import compact, judge

GREEN = Case(id="green", outcome=Outcome.PASSED, duration_s=0.5)
SKIPPED = Case(id="skipped", outcome=Outcome.SKIPPED)
RED = Case(
    id="red",
    outcome=Outcome.FAILED,
    duration_s=2.0,
    file="tests/test_a.py",
    line=7,
    kind=FailureKind.ASSERT,
    message="assert 1 == 2",
    details=("def test_red():", ">   assert 1 == 2"),
)


def whole(*cases: Case) -> Report:
    return Report(cases=cases, complete=True)


def failing(number: int, kind: FailureKind, message: str) -> Case:
    return Case(id=f"t{number}", outcome=Outcome.FAILED, kind=kind, message=message)


def folded(*cases: Case) -> list[tuple[str, int, tuple[str, ...]]]:
    failures = judge(whole(*cases), exit_code=1).failures
    return [(failure.test.id, failure.same, failure.also) for failure in failures]


@pytest.mark.parametrize(
    ("report", "exit_code", "outcome", "summary"),
    [
        (whole(GREEN), 0, Judged.PASSED, "1 test passed."),
        (whole(GREEN, SKIPPED), 0, Judged.PASSED, "1 test passed, 1 skipped."),
        (whole(GREEN, RED), 1, Judged.FAILED, "1 of 2 tests failed."),
        (
            whole(GREEN),
            2,
            Judged.FAILED,
            "1 test passed, but the command ended with exit code 2: something beside the tests "
            "failed (a coverage threshold, a plugin, a later command).",
        ),
        (
            replace(whole(GREEN, RED), expected=5),
            1,
            Judged.FAILED,
            "1 of 5 tests failed, 3 did not run.",
        ),
        (
            Report(problem="jest left no report", complete=False),
            1,
            Judged.NONE,
            "No test was reported: jest left no report.",
        ),
        (
            Report(cases=(GREEN,), problem="Broken\n  report.", complete=False),
            0,
            Judged.INCOMPLETE,
            "Broken report: 1 passed.",
        ),
    ],
)
def test_a_report_is_judged(report: Report, exit_code: int, outcome: Judged, summary: str) -> None:
    verdict = judge(report, exit_code=exit_code)
    assert (verdict.outcome, verdict.summary) == (outcome, summary)


@pytest.mark.parametrize(
    ("report", "outcome", "summary"),
    [
        pytest.param(
            Report(problem="pytest left no report"),
            Judged.NONE,
            "No test was reported: pytest left no report.",
            id="pytest, os._exit(0) in an import",
        ),
        pytest.param(
            Report(cases=(GREEN,), unfinished=("b",), expected=3, problem="pytest was not closed"),
            Judged.INCOMPLETE,
            "pytest was not closed: 1 passed, 2 did not run; it stopped in b.",
            id="pytest, os._exit(0) in a test",
        ),
        pytest.param(
            Report(unfinished=("a",), expected=1, problem="pytest was not closed"),
            Judged.INCOMPLETE,
            "pytest was not closed: 0 passed, 1 did not run; it stopped in a.",
            id="pytest, os._exit(0) in the first test",
        ),
        pytest.param(
            replace(whole(GREEN, RED), unfinished=("c",), expected=4),
            Judged.FAILED,
            "1 of 4 tests failed, 2 did not run; it stopped in c.",
            id="pytest, a failure, then pytest.exit(returncode=0)",
        ),
        pytest.param(
            replace(whole(GREEN), expected=4),
            Judged.INCOMPLETE,
            "The run ended before all tests had: 1 passed, 3 did not run.",
            id="pytest, pytest.exit(returncode=0) between tests",
        ),
        pytest.param(
            Report(problem="jest left no report"),
            Judged.NONE,
            "No test was reported: jest left no report.",
            id="jest, process.exit(0) in a test, in band",
        ),
        pytest.param(
            Report(cases=(GREEN,), complete=False, expected=5),
            Judged.INCOMPLETE,
            "The run ended before all tests had: 1 passed, 4 did not run.",
            id="cargo, std::process::exit(0) in a test",
        ),
        pytest.param(
            whole(),
            Judged.NONE,
            "No test ran: the command selected none.",
            id="unittest, go, cargo, testmon: nothing found or affected",
        ),
        pytest.param(
            whole(SKIPPED, replace(SKIPPED, id="too")),
            Judged.NONE,
            "No test ran: 2 tests skipped.",
            id="jest -t, vitest -t: nothing matches",
        ),
    ],
)
def test_exit_code_zero_is_not_enough_to_pass(
    report: Report, outcome: Judged, summary: str
) -> None:
    verdict = judge(report, exit_code=0)
    assert (verdict.outcome, verdict.summary) == (outcome, summary)


def test_a_command_that_never_started_does_not_pass() -> None:
    assert judge(whole(GREEN), exit_code=None).outcome is Judged.FAILED


def test_a_verdict_counts_the_cases_and_names_the_slowest() -> None:
    cases = [replace(GREEN, id=f"g{n}", duration_s=float(n)) for n in range(5)]
    error = replace(RED, id="error", outcome=Outcome.ERROR, kind=FailureKind.ERROR, message="x")
    assert judge(whole(*cases, RED, error, SKIPPED), exit_code=0) == Verdict(
        outcome=Judged.FAILED,
        counts=Counts(total=8, passed=5, failed=1, errors=1, skipped=1),
        summary="2 of 8 tests failed, 1 skipped.",
        failures=(Failure(test=error), Failure(test=RED)),
        slowest=(("g4", 4.0), ("g3", 3.0), ("g2", 2.0)),
    )


def test_failures_that_say_the_same_are_one_entry() -> None:
    cases = [
        failing(n, FailureKind.ERROR, f"No file /tmp/x{n}/y after {n}.5 s at 0x7f{n}")
        for n in range(4)
    ]
    assert folded(*cases) == [("t0", 4, ("t1", "t2"))]


def test_assertions_with_other_numbers_stay_apart() -> None:
    first = failing(1, FailureKind.ASSERT, "assert 1 == 2")
    second = failing(2, FailureKind.ASSERT, "assert 7 == 9")
    third = failing(3, FailureKind.ASSERT, "assert 1 == 2")
    assert folded(first, second, third) == [("t1", 2, ("t3",)), ("t2", 1, ())]


def test_parameters_of_one_test_are_one_entry_whatever_the_numbers() -> None:
    cases = [replace(RED, id=f"a::t[{n}]", message=f"assert {n} == 0") for n in range(3)]
    assert folded(*cases) == [("a::t[0]", 3, ("a::t[1]", "a::t[2]"))]


def test_failures_without_a_message_are_never_folded() -> None:
    cases = [failing(n, FailureKind.ERROR, "") for n in range(2)]
    assert folded(*cases) == [("t0", 1, ()), ("t1", 1, ())]


def test_what_explains_other_failures_comes_first() -> None:
    kinds = [FailureKind.ASSERT, FailureKind.TIMEOUT, FailureKind.COLLECTION, FailureKind.CRASH]
    cases = [failing(n, kind, f"m {kind}") for n, kind in enumerate(kinds)]
    assert [test for test, *_ in folded(*cases)] == ["t2", "t3", "t1", "t0"]


def test_a_compact_verdict_has_counts_lines_excerpts_and_the_slowest() -> None:
    verdict = judge(replace(whole(GREEN, RED), unfinished=("u",)), exit_code=1)
    assert compact(verdict, 2_000) == {
        "counts": {
            "total": 3, "passed": 1, "failed": 1, "errors": 0, "skipped": 0, "missing": 1,
        },
        "unfinished": ["u"],
        "failures": [
            {
                "id": "red",
                "at": "tests/test_a.py:7",
                "kind": "assert",
                "message": "assert 1 == 2",
                "excerpt": ["def test_red():", ">   assert 1 == 2"],
            }
        ],
        "slowest": [{"id": "red", "s": 2.0}, {"id": "green", "s": 0.5}],
    }  # fmt: skip


def test_a_compact_verdict_shows_lines_before_excerpts() -> None:
    cases = [replace(RED, id=f"t{n}", message=f"m{'x' * n}") for n in range(8)]
    shown = cast(
        "list[dict[str, Any]]", compact(judge(whole(*cases), exit_code=1), 900)["failures"]
    )
    assert len(shown) == 8
    assert "excerpt" in shown[0]
    assert "excerpt" not in shown[-1]


def test_failing_tests_that_find_no_room_are_counted() -> None:
    cases = [replace(RED, id=f"t{n:03}", message=f"m{'x' * n}") for n in range(100)]
    twins = [replace(case, id=f"{case.id}b") for case in cases]
    answer = compact(judge(whole(*cases, *twins), exit_code=1), 1_500)
    shown = cast("list[dict[str, Any]]", answer["failures"])
    assert shown
    assert sum(entry["same"] for entry in shown) + cast("int", answer["not_shown"]) == 200


def test_a_verdict_keeps_a_thousand_failures_and_counts_them_all() -> None:
    cases = [replace(RED, id=f"t{n}", message=f"m{n}") for n in range(1_200)]
    verdict = judge(whole(*cases), exit_code=1)
    assert (len(verdict.failures), verdict.counts.failed) == (1_000, 1_200)
    assert cast("int", compact(verdict, 1_000)["not_shown"]) > 1_150


TEXT = st.text(max_size=400)
REPORTS = st.builds(
    Report,
    cases=st.lists(
        st.builds(
            Case,
            id=TEXT,
            outcome=st.sampled_from(Outcome),
            duration_s=st.floats(0, 1e6),
            file=st.none() | TEXT,
            line=st.none() | st.integers(1, 9_999_999),
            kind=st.none() | st.sampled_from(FailureKind),
            message=TEXT,
            details=st.lists(TEXT, max_size=20).map(tuple),
        ),
        max_size=8,
    ).map(tuple),
    complete=st.booleans(),
    unfinished=st.lists(TEXT, max_size=8).map(tuple),
    expected=st.none() | st.integers(0, 2_000_000),
    problem=TEXT,
)


@given(REPORTS, st.integers(2, 6_000))
def test_a_compact_verdict_is_never_over_its_budget(report: Report, budget: int) -> None:
    answer = compact(judge(report, exit_code=1), budget)
    assert len(json.dumps(answer, ensure_ascii=False)) <= budget


@given(REPORTS, st.none() | st.integers(-1, 255))
def test_a_pass_needs_every_sign_of_one(report: Report, exit_code: int | None) -> None:
    verdict = judge(report, exit_code=exit_code)
    outcomes = {case.outcome for case in report.cases}
    passes = (
        exit_code == 0
        and report.complete
        and not report.problem
        and not report.unfinished
        and (report.expected or 0) <= len(report.cases)
        and Outcome.PASSED in outcomes
        and outcomes <= {Outcome.PASSED, Outcome.SKIPPED}
    )
    assert (verdict.outcome is Judged.PASSED) is passes


@given(REPORTS)
def test_no_failing_test_is_lost_by_folding(report: Report) -> None:
    verdict = judge(report, exit_code=1)
    bad = verdict.counts.failed + verdict.counts.errors
    assert sum(failure.same for failure in verdict.failures) == bad
