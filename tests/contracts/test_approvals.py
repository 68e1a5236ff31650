"""The contract of `ports/approvals.py`, for every implementation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.approvals import Answer, Approvals, Question
from mcp_cloud_agents.storage.sqlite_approvals import SqliteApprovals
from tests.questions import a_grant, a_question, some_facts

IMPLEMENTATIONS: dict[str, Callable[[Path], Approvals]] = {
    "sqlite": lambda folder: SqliteApprovals(str(folder / "approvals.sqlite"))
}


@pytest.fixture(params=IMPLEMENTATIONS)
def make(request: pytest.FixtureRequest) -> Callable[[Path], Approvals]:
    """Opens the approvals of a folder; twice is what two processes do."""
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def approvals(make: Callable[[Path], Approvals], tmp_path: Path) -> Approvals:
    return make(tmp_path)


def say(approvals: Approvals, answer: Answer, *, by: str = "alice", now: float = 10) -> Question:
    said = approvals.answer(JobId("j1"), "d", answer, by=by, why="because", now=now)
    assert said is not None
    return said


def test_a_question_is_read_back_whole_by_another_process(
    make: Callable[[Path], Approvals], tmp_path: Path
) -> None:
    asked = make(tmp_path).ask(a_question())
    again = make(tmp_path)
    assert again.get(JobId("j1"), now=10) == asked == a_question()
    assert again.waiting(now=10) == (asked,)


def test_a_job_is_asked_about_once_whatever_comes_later(approvals: Approvals) -> None:
    first = approvals.ask(a_question(digest="one"))
    assert approvals.ask(a_question(digest="two")) == first
    assert approvals.waiting(now=10) == (first,)


def test_the_oldest_question_that_waits_comes_first(approvals: Approvals) -> None:
    for number in (3, 1, 2):
        approvals.ask(a_question(number))
    assert [one.job_id for one in approvals.waiting(now=10)] == ["j1", "j2", "j3"]


def test_an_answer_is_kept_with_who_gave_it(approvals: Approvals) -> None:
    asked = approvals.ask(a_question())
    said = say(approvals, Answer.APPROVED)
    assert said == replace(
        asked, answer=Answer.APPROVED, answered_at=10, answered_by="alice", why="because"
    )
    assert approvals.get(JobId("j1"), now=2_000) == said
    assert approvals.waiting(now=10) == ()


def test_only_the_first_answer_to_a_question_counts(approvals: Approvals) -> None:
    approvals.ask(a_question())
    first = say(approvals, Answer.DENIED)
    assert say(approvals, Answer.APPROVED, by="bob", now=11) == first


def test_nobody_can_approve_once_the_time_is_up(approvals: Approvals) -> None:
    approvals.ask(a_question())
    late = say(approvals, Answer.APPROVED, now=1_000)
    assert (late.answer, late.answered_by) == (Answer.EXPIRED, "")
    assert approvals.get(JobId("j1"), now=1_000) == late
    assert approvals.waiting(now=1_000) == ()
    assert approvals.waiting(now=999.9) == (a_question(),)


def test_an_answer_to_another_digest_answers_nothing(approvals: Approvals) -> None:
    asked = approvals.ask(a_question())
    wrong = approvals.answer(JobId("j1"), "e", Answer.APPROVED, by="a", why="", now=10)
    nobody = approvals.answer(JobId("j9"), "d", Answer.APPROVED, by="a", why="", now=10)
    assert (wrong, nobody) == (None, None)
    assert approvals.get(JobId("j1"), now=10) == asked


@pytest.mark.parametrize("answer", [Answer.WAITING, Answer.EXPIRED])
def test_only_a_yes_or_a_no_answers_a_question(approvals: Approvals, answer: Answer) -> None:
    asked = approvals.ask(a_question())
    assert say(approvals, answer) == asked


def test_of_two_people_who_answer_at_once_one_wins(
    make: Callable[[Path], Approvals], tmp_path: Path
) -> None:
    make(tmp_path).ask(a_question())
    both = Barrier(2)

    def person(answer: Answer) -> Question:
        mine = make(tmp_path)
        both.wait(10)
        return say(mine, answer, by=str(answer))

    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(person, (Answer.APPROVED, Answer.DENIED)))
    assert heard[0] == heard[1]
    assert heard[0].answered_by == heard[0].answer


def test_a_grant_answers_until_its_amount_is_used_up(approvals: Approvals) -> None:
    approvals.grant(a_grant(left_micros=250))
    used = [approvals.use_grant(a_question(number), now=10) for number in (1, 2, 3)]
    assert used == [a_grant(left_micros=150), a_grant(left_micros=50), None]
    assert approvals.grants(now=10) == (a_grant(left_micros=50),)


def test_a_grant_holds_up_to_its_last_moment_only(approvals: Approvals) -> None:
    approvals.grant(a_grant(until=500))
    assert approvals.use_grant(a_question(), now=500) is None
    assert approvals.grants(now=500) == ()
    assert approvals.use_grant(a_question(), now=499.9) is not None


@pytest.mark.parametrize(
    "other",
    [
        a_question(rule="another"),
        a_question(facts=some_facts(backend="local")),
        a_question(facts=some_facts(workspace="/a/b")),
        a_question(facts=replace(some_facts(), agent="fix_in_sandbox")),
        a_question(facts=some_facts(worst_micros=251)),
    ],
    ids=["rule", "backend", "workspace", "agent", "price"],
)
def test_a_grant_answers_nothing_but_its_own_kind(approvals: Approvals, other: Question) -> None:
    approvals.grant(a_grant(left_micros=250))
    assert approvals.use_grant(other, now=10) is None
    assert approvals.grants(now=10) == (a_grant(left_micros=250),)


def test_a_job_that_asks_twice_uses_its_grant_once(approvals: Approvals) -> None:
    approvals.grant(a_grant(left_micros=250))
    first = approvals.use_grant(a_question(), now=10)
    assert approvals.use_grant(a_question(), now=11) == first == a_grant(left_micros=150)


def test_the_grant_that_ends_first_is_used_first(approvals: Approvals) -> None:
    approvals.grant(a_grant("long", until=900))
    approvals.grant(a_grant("short", until=400))
    used = approvals.use_grant(a_question(), now=10)
    assert used is not None
    assert used.id == "short"


def test_a_revoked_grant_answers_nothing_any_more(approvals: Approvals) -> None:
    approvals.grant(a_grant())
    approvals.use_grant(a_question(), now=10)
    assert approvals.revoke("g1")
    assert not approvals.revoke("g1")
    assert approvals.use_grant(a_question(), now=10) is None
    assert approvals.grants(now=10) == ()


@settings(max_examples=6, deadline=None)
@given(
    cap=st.integers(min_value=0, max_value=400),
    jobs=st.lists(
        st.tuples(st.integers(min_value=0, max_value=200), st.floats(min_value=0, max_value=1_000)),
        min_size=1,
        max_size=8,
    ),
)
def test_a_grant_never_gives_more_or_longer_than_agreed(
    cap: int, jobs: list[tuple[int, float]]
) -> None:
    """Many threads at once, each with its own clock and price."""
    with tempfile.TemporaryDirectory() as folder:
        approvals = SqliteApprovals(f"{folder}/approvals.sqlite")
        approvals.grant(a_grant(left_micros=cap, until=500))

        def use(number: int) -> int:
            worst, now = jobs[number]
            question = a_question(number, facts=some_facts(worst_micros=worst))
            used = approvals.use_grant(question, now=now)
            assert used is None or now < 500
            return 0 if used is None else worst

        with ThreadPoolExecutor(4) as pool:
            given_out = sum(pool.map(use, range(len(jobs))))
        assert given_out <= cap
        assert [one.left_micros for one in approvals.grants(now=0)] == [cap - given_out]


def test_a_yes_can_be_withdrawn_and_nothing_else_can(approvals: Approvals) -> None:
    asked = approvals.ask(a_question())

    def withdraw(job: str = "j1") -> Question | None:
        return approvals.withdraw(JobId(job), by="bob", why="stopped", now=11)

    assert withdraw() == asked
    say(approvals, Answer.APPROVED)
    no = replace(asked, answer=Answer.DENIED, answered_at=11, answered_by="bob", why="stopped")
    assert withdraw() == no
    assert say(approvals, Answer.APPROVED) == no
    assert withdraw() == no
    assert withdraw("j2") is None
