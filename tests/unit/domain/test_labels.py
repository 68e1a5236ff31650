from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.fix import Evidence, Finding, Label, Reproduction, WrittenTests
from mcp_cloud_agents.domain.labels import Judged, label_of

REPRODUCED = Reproduction(failing=("a", "b"), passed=3, runs=2)
FINDING = Finding(rule="early_exit", path="a.py", line=1, text="os._exit(0)", why="ends it")
GOOD = Judged(
    reproduction=REPRODUCED,
    tree="t",
    mended=("a", "b"),
    passed=5,
    ran=("The target: 5 tests passed.",),
)


def test_a_mended_target_without_any_doubt_is_verified() -> None:
    assert label_of(GOOD) == Evidence(
        label=Label.VERIFIED, ran=GOOD.ran, mended=("a", "b"), tree="t"
    )


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (
            replace(GOOD, reproduction=Reproduction(passed=5, runs=2), mended=()),
            "No failure was reproduced on the base.",
        ),
        (
            replace(GOOD, reproduction=replace(REPRODUCED, runs=1)),
            "The failure was seen in one run only.",
        ),
        (
            replace(GOOD, reproduction=replace(REPRODUCED, flaky=("c",))),
            "The target is flaky on the base: c.",
        ),
        (
            replace(GOOD, suite_problem="the time was up after 12 tests"),
            "The suite was not judged: the time was up after 12 tests.",
        ),
        (
            replace(GOOD, protected=("tests/test_a.py",)),
            "Protected files were changed and put back: tests/test_a.py.",
        ),
        (replace(GOOD, findings=(FINDING,)), "The change has a suspicious line (early_exit)."),
        (
            replace(GOOD, written=WrittenTests(passed=2, failed=("w",))),
            "Tests that were written without seeing the patch fail.",
        ),
    ],
)
def test_what_is_missing_or_suspicious_makes_it_likely(facts: Judged, why: str) -> None:
    evidence = label_of(facts)
    assert (evidence.label, evidence.rejected, evidence.why) == (Label.LIKELY, False, (why,))


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(GOOD, unfit="the patch does not apply"), "the patch does not apply."),
        (
            replace(GOOD, mended=("a",), still_failing=("b",)),
            "1 test (b) of the target still fails.",
        ),
        (
            replace(GOOD, mended=("a",), missing=("b",)),
            "1 test (b) did not run, which counts as failing.",
        ),
        (replace(GOOD, mended=("a",)), "1 test (b) did not run, which counts as failing."),
        (
            replace(GOOD, regressions=tuple("vwxyz")),
            "5 tests (v, w, x and 2 more) passed before, and no longer.",
        ),
    ],
)
def test_what_speaks_against_it_rejects_it(facts: Judged, why: str) -> None:
    evidence = label_of(facts)
    assert (evidence.label, evidence.rejected, evidence.why[0]) == (Label.UNVERIFIED, True, why)


def test_a_change_that_lives_from_edited_tests_is_rejected_by_name() -> None:
    cheat = replace(GOOD, mended=(), still_failing=("a", "b"), protected=("tests/test_a.py",))
    assert (
        "It changed tests/test_a.py, protected, and does not work without that."
        in label_of(cheat).why
    )


def test_a_target_without_a_report_proves_nothing_and_rejects_nothing() -> None:
    evidence = label_of(replace(GOOD, mended=(), passed=0, problem="it leaves no report"))
    assert (evidence.label, evidence.rejected) == (Label.UNVERIFIED, False)
    assert evidence.why == ("The target tells nothing: it leaves no report.",)


IDS = st.lists(st.sampled_from("abcdef"), max_size=3, unique=True).map(tuple)
FACTS = st.builds(
    Judged,
    reproduction=st.builds(
        Reproduction, failing=IDS, flaky=IDS, passed=st.integers(0, 3), runs=st.integers(0, 2)
    ),
    tree=st.just("t"),
    unfit=st.sampled_from(("", "it does not apply")),
    problem=st.sampled_from(("", "no report")),
    mended=IDS,
    still_failing=IDS,
    missing=IDS,
    passed=st.integers(0, 3),
    regressions=IDS,
    flaky=IDS,
    suite_problem=st.sampled_from(("", "cut")),
    protected=IDS,
    findings=st.sampled_from(((), (FINDING,))),
    written=st.sampled_from((None, WrittenTests(passed=1), WrittenTests(failed=("w",)))),
)


@given(FACTS)
def test_verified_needs_everything_at_once(facts: Judged) -> None:
    whole = (
        set(facts.reproduction.failing) <= set(facts.mended)
        and facts.reproduction.failing
        and facts.reproduction.runs == 2
        and not facts.reproduction.flaky
        and not (facts.still_failing or facts.missing or facts.regressions)
        and not (facts.unfit or facts.problem or facts.suite_problem)
        and not (facts.protected or facts.findings)
        and not (facts.written and facts.written.failed)
    )
    assert (label_of(facts).label is Label.VERIFIED) == bool(whole)


@given(FACTS)
def test_whatever_is_not_verified_says_why(facts: Judged) -> None:
    evidence = label_of(facts)
    assert bool(evidence.why) == (evidence.label is not Label.VERIFIED)
    assert not (evidence.rejected and evidence.label is not Label.UNVERIFIED)


@given(FACTS)
def test_what_speaks_against_a_candidate_always_rejects_it(facts: Judged) -> None:
    against = facts.unfit or facts.still_failing or facts.missing or facts.regressions
    if against:
        assert label_of(facts).rejected


def test_a_change_of_the_runner_is_rejected_though_everything_passes() -> None:
    found = replace(FINDING, grave=True, why="changes the test runner")
    evidence = label_of(replace(GOOD, findings=(found,)))
    assert (evidence.rejected, evidence.label) == (True, Label.UNVERIFIED)
    assert "It changes the test runner (a.py:1)." in evidence.why
