from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.arbiter import Candidate, Choice, choose
from mcp_cloud_agents.domain.fix import CandidateReport, Engine, Evidence, Label, StopReason


def candidate(
    number: int,
    label: Label = Label.VERIFIED,
    *,
    rejected: str = "",
    diff: str = "",
    size: int = 1,
    cross: tuple[bool, ...] = (),
) -> Candidate:
    evidence = Evidence(label=label, rejected=bool(rejected), why=(rejected,) if rejected else ())
    report = CandidateReport(
        number=number,
        engine=Engine.MODEL,
        stopped=StopReason.SUBMITTED,
        files=1,
        insertions=size,
        sha256="s",
        evidence=evidence,
    )
    tests = tuple((f"t{k}", passed) for k, passed in enumerate(cross))
    return Candidate(report=report, diff=diff or f"diff {number}", cross=tests)


def test_a_single_good_candidate_is_offered() -> None:
    assert choose([candidate(1)]) == Choice(chosen=1, why=("Candidate 1 is offered, verified.",))


def test_rejected_empty_and_unjudged_candidates_leave_nobody() -> None:
    bare = candidate(2)
    empty = replace(bare, report=replace(bare.report, sha256=""))
    unjudged = replace(bare, report=replace(bare.report, number=3, evidence=None))
    assert choose([candidate(1, rejected="2 tests still fail."), empty, unjudged]) == Choice(
        chosen=None,
        why=(
            "Candidate 1 was rejected: 2 tests still fail.",
            "Candidate 2 changed nothing.",
            "Candidate 3 was not judged.",
            "No candidate is left that could be offered.",
        ),
    )


def test_a_better_label_beats_every_count() -> None:
    likely = candidate(1, Label.LIKELY, cross=(True, True))
    assert choose([likely, candidate(2, size=90)]) == Choice(
        chosen=2,
        why=(
            "Candidate 2 is verified, the others less.",
            "Candidate 2 is offered, verified.",
        ),
    )


def test_tests_of_other_origin_come_before_the_majority() -> None:
    same = [candidate(1, diff="x", cross=(False,)), candidate(2, diff="x", cross=(False,))]
    assert choose([*same, candidate(3, cross=(True,), size=50)]) == Choice(
        chosen=3,
        why=(
            "Candidate 3 passes the most tests of other origin (1).",
            "Candidate 3 is offered, verified.",
        ),
    )


def test_the_majority_of_equal_changes_comes_before_size() -> None:
    same = [candidate(1, diff="x", size=9), candidate(3, diff="x", size=9)]
    assert choose([*same, candidate(2, size=1)]) == Choice(
        chosen=1,
        why=("Candidates 1 and 3 came to the same change.", "Candidate 1 is offered, verified."),
    )


def test_the_smallest_change_wins_then_the_earliest() -> None:
    assert choose([candidate(1, size=2), candidate(2), candidate(3)]) == Choice(
        chosen=2,
        why=(
            "The change of candidates 2 and 3 is the smallest (1 line).",
            "Nothing that ran tells candidates 2 and 3 apart: the earliest is taken.",
            "Candidate 2 is offered, verified.",
        ),
    )


def test_unproven_changes_that_differ_are_not_offered() -> None:
    assert choose([candidate(1, Label.UNVERIFIED), candidate(2, Label.UNVERIFIED)]) == Choice(
        chosen=None,
        why=(
            "Nothing that ran tells candidates 1 and 2 apart, and none is proven: none is offered.",
        ),
    )


def test_a_judge_decides_only_where_nothing_else_does() -> None:
    asked = list[list[int]]()

    def judge(candidates: Sequence[Candidate]) -> int | None:
        asked.append([one.report.number for one in candidates])
        return 3

    assert choose([candidate(2), candidate(1, size=5)], judge).chosen == 2
    assert asked == []
    choice = choose([candidate(n, Label.UNVERIFIED) for n in (3, 2, 1)], judge)
    assert (choice.chosen, asked) == (3, [[1, 2, 3]])


def test_a_judge_that_names_nobody_changes_nothing() -> None:
    choice = choose([candidate(1), candidate(2)], lambda _: 7)
    assert (choice.chosen, choice.why[0]) == (
        1,
        "The judge did not decide between candidates 1 and 2.",
    )


MANY = st.lists(
    st.builds(
        candidate,
        st.integers(0, 9),
        st.sampled_from(Label),
        rejected=st.sampled_from(("", "", "no")),
        diff=st.sampled_from(("", "x", "y")),
        size=st.integers(0, 2),
        cross=st.lists(st.booleans(), max_size=2).map(tuple),
    ),
    max_size=6,
    unique_by=lambda one: one.report.number,
)


@given(MANY.flatmap(lambda many: st.tuples(st.just(many), st.permutations(many))))
def test_the_order_of_candidates_never_changes_the_choice(
    pair: tuple[list[Candidate], list[Candidate]],
) -> None:
    assert choose(pair[0]) == choose(pair[1])


@given(MANY, st.integers(0, 9) | st.none())
def test_a_rejected_candidate_is_never_chosen(many: list[Candidate], wish: int | None) -> None:
    choice = choose(many, lambda _: wish)
    rejected = {
        one.report.number for one in many if one.report.evidence and one.report.evidence.rejected
    }
    assert choice.chosen is None or choice.chosen in {one.report.number for one in many} - rejected


@given(MANY)
def test_nobody_is_passed_over_for_a_worse_label(many: list[Candidate]) -> None:
    order = list(Label)
    choice = choose(many)
    fit = {
        one.report.number: order.index(one.report.evidence.label)
        for one in many
        if one.report.evidence and not one.report.evidence.rejected
    }
    if choice.chosen is not None:
        assert fit[choice.chosen] == min(fit.values())
    assert choice.why
