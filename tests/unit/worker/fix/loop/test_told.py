"""What a model is told of tests and verdicts; what is a loop."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.domain import result
from mcp_cloud_agents.domain.fix import Evidence, Finding, Label
from mcp_cloud_agents.domain.result import Outcome
from mcp_cloud_agents.worker.fix.loop.loops import Looping, Loops
from mcp_cloud_agents.worker.fix.loop.told import (
    MAX_CHARS,
    accepted,
    clipped,
    told_evidence,
    told_report,
)


def failed(name: str, *details: str, message: str = "boom") -> result.TestCase:
    return result.TestCase(
        id=name, outcome=Outcome.FAILED, file="t.py", line=3, message=message, details=details
    )


def test_a_report_is_counts_and_each_failure_with_its_place() -> None:
    cases = (result.TestCase(id="a", outcome=Outcome.PASSED), failed("b", "E  boom", "more"))
    assert told_report(result.TestReport(cases=cases, complete=True), ids=["a", "z"]) == (
        "1 passed, 1 failed, 0 skipped\nFAILED b (t.py:3)\n    E  boom\n    more\n"
        "not in the report: z"
    )


def test_a_failure_has_at_most_twenty_lines_and_a_report_at_most_twenty_failures() -> None:
    cases = tuple(failed(f"t{n}", *[f"line {k}" for k in range(50)]) for n in range(30))
    said = told_report(result.TestReport(cases=cases[:1], complete=True))
    assert len(said.splitlines()) == 1 + 20
    many = told_report(result.TestReport(cases=cases, complete=True))
    assert len(many) <= MAX_CHARS + 100
    assert "and 10 more: t20" in many


def test_a_report_that_tells_nothing_says_why() -> None:
    said = told_report(result.TestReport(problem="pytest:\x1b[31m not found"))
    assert said == "No usable report: pytest: not found\n0 passed, 0 failed, 0 skipped"
    unfinished = told_report(result.TestReport(unfinished=("slow",)))
    assert "ended before its report was complete" in unfinished
    assert "started and never ended: slow" in unfinished


def test_a_verdict_names_every_group_of_ids() -> None:
    evidence = Evidence(
        label=Label.UNVERIFIED,
        rejected=True,
        why=("the target does not pass",),
        still_failing=tuple(f"t{n}" for n in range(25)),
        missing=("gone",),
        regressions=("old",),
        protected=("tests/a.py",),
        findings=(Finding(rule="exit", path="a.py", line=4, text="x", why="ends the process"),),
    )
    said = told_evidence(evidence)
    assert "still failing: t0, t1" in said
    assert "t19 and 5 more" in said
    for part in ("gone", "old", "tests/a.py", "a.py:4: ends the process"):
        assert part in said
    assert not accepted(evidence)


def test_a_label_below_verified_without_anything_to_mend_is_accepted() -> None:
    assert accepted(Evidence(label=Label.LIKELY, why=("the suite was cut",)))
    assert not accepted(Evidence(label=Label.LIKELY, rejected=True))


def test_clipping_keeps_both_ends() -> None:
    assert clipped("a" * 10, 10) == "a" * 10
    assert clipped("a" * 8 + "b" * 8, 10) == "aaaaa\n[… 6 characters left out …]\nbbbbb"


def test_a_new_edit_clears_the_counts_and_an_old_one_does_not() -> None:
    loops = Loops()
    for number in range(9):
        assert loops.advice("edit_file", {"n": number}, "ok") == ""
        assert loops.advice("run_tests", {}, "1 failed") == ""
    said = [loops.advice("edit_file", {"n": 8}, "ok") for _ in range(3)]
    assert ["3 times" in one for one in said] == [False, True, False]
    with pytest.raises(Looping):
        loops.advice("edit_file", {"n": 8}, "ok")


def test_the_same_call_with_another_result_is_no_loop() -> None:
    loops = Loops()
    assert {loops.advice("read_file", {"path": "a"}, f"text {n}") for n in range(20)} == {""}
