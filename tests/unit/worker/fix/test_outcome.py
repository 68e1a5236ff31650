"""When a fix ends before money is spent, and the sentences that people and logs get."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_cloud_agents.domain.fix import (
    CandidateReport,
    Engine,
    Evidence,
    FixOrder,
    FixOutcome,
    Label,
    Reproduction,
    StopReason,
)
from mcp_cloud_agents.worker.fix import outcome

COMMAND = FixOrder(goal="g", engine=Engine.COMMAND, edit_command="true")
MODEL = FixOrder(goal="g", engine=Engine.MODEL)
PASSES = Reproduction(passed=3, runs=2)
FLAKY = Reproduction(flaky=("a", "b"), passed=1, runs=2)
FAILS = Reproduction(failing=("a", "b", "c", "d"), flaky=("e",), passed=1, runs=2)
BROKEN = Reproduction(problem="pytest left no report (exit code 4)", runs=1)


@pytest.mark.parametrize(
    ("order", "found", "runner", "code", "ends"),
    [
        (MODEL, FAILS, "pytest", 1, None),
        (COMMAND, FAILS, "pytest", 1, None),
        (MODEL, PASSES, "pytest", 0, FixOutcome.NOTHING_TO_FIX),
        (COMMAND, PASSES, "pytest", 0, None),
        (MODEL, FLAKY, "pytest", 1, FixOutcome.CANNOT_JUDGE),
        (COMMAND, FLAKY, "pytest", 1, FixOutcome.CANNOT_JUDGE),
        (MODEL, BROKEN, "pytest", 4, FixOutcome.CANNOT_JUDGE),
        (COMMAND, BROKEN, "pytest", 4, FixOutcome.CANNOT_JUDGE),
        (MODEL, BROKEN, None, 1, None),
        (MODEL, BROKEN, None, 0, FixOutcome.NOTHING_TO_FIX),
        (COMMAND, BROKEN, None, 0, None),
        (COMMAND, BROKEN, None, None, None),
    ],
)
def test_what_the_base_tells_decides_whether_anything_is_made(
    order: FixOrder,
    found: Reproduction,
    runner: str | None,
    code: int | None,
    ends: FixOutcome | None,
) -> None:
    early = outcome.ends_before(order, found, runner=runner, exit_code=code)
    assert (early[0] if early is not None else None) is ends


def test_a_flaky_target_is_told_with_counts_and_names() -> None:
    early = outcome.ends_before(MODEL, FLAKY, runner="pytest", exit_code=1)
    assert early is not None
    assert early[1] == (
        "The target is flaky: 2 tests failed in one of 2 runs on the same tree (a, b), none in "
        "both."
    )


def test_the_log_names_the_first_failing_tests() -> None:
    assert outcome.reproduced(FAILS, runner="pytest", exit_code=1) == (
        "reproducing: 4 tests fail (a, b, c, …), 1 test flaky, 1 pass"
    )
    assert outcome.reproduced(PASSES, runner="pytest", exit_code=0) == (
        "reproducing: no test fails, 3 pass"
    )
    assert outcome.reproduced(BROKEN, runner=None, exit_code=2) == (
        "reproducing: exit code 2, no test report to judge by"
    )


def a_report(label: Label, *why: str, mended: tuple[str, ...] = ("a",)) -> CandidateReport:
    evidence = Evidence(label=label, why=why, mended=mended)
    return CandidateReport(
        number=1,
        engine=Engine.COMMAND,
        stopped=StopReason.SUBMITTED,
        files=1,
        insertions=2,
        deletions=1,
        sha256="x",
        evidence=evidence,
    )


def test_an_offer_says_what_it_is_worth_and_why_not_more() -> None:
    assert outcome.offered(a_report(Label.VERIFIED)) == (
        "A verified patch (1 file, +2 -1): 1 test that failed passes."
    )
    assert outcome.offered(a_report(Label.LIKELY, "The target is flaky.", mended=("a", "b"))) == (
        "A likely patch (1 file, +2 -1): 2 tests that failed pass. The target is flaky."
    )
    assert outcome.offered(a_report(Label.UNVERIFIED, "It was cut.", mended=())) == (
        "An unverified patch (1 file, +2 -1). It was cut."
    )


def test_an_unverified_offer_claims_no_test() -> None:
    assert outcome.offered(a_report(Label.UNVERIFIED, "It was cut.", mended=("a",))) == (
        "An unverified patch (1 file, +2 -1). It was cut."
    )


def test_a_job_that_was_ended_early_says_so_and_what_is_kept() -> None:
    assert outcome.ended_early(()).endswith("nothing is offered, nothing had been changed.")
    kept = outcome.ended_early((a_report(Label.UNVERIFIED),))
    assert kept.endswith("nothing is offered, what was changed by then is kept.")


def test_without_an_offer_the_summary_says_what_there_was() -> None:
    nothing = CandidateReport(number=1, engine=Engine.COMMAND, stopped=StopReason.COMMAND_FAILED)
    assert outcome.nothing_offered(()) == "No candidate was made."
    assert outcome.nothing_offered((nothing,)) == (
        "Nothing was changed that a patch can carry (command_failed)."
    )
    ended = replace(nothing, stopped=StopReason.SUBMITTED)
    assert outcome.nothing_offered((ended,)) == "Nothing was changed that a patch can carry."
    one = a_report(Label.UNVERIFIED, "1 test (a) of the target still fails.")
    assert one.evidence is not None
    rejected = replace(one, evidence=replace(one.evidence, rejected=True))
    assert outcome.nothing_offered((rejected,)) == (
        "The only candidate was rejected: 1 test (a) of the target still fails."
    )
    assert outcome.nothing_offered((one, nothing)) == (
        "None of 2 candidates could be offered; `choice` says why."
    )
