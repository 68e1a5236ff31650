"""Admission over real books: what may start, what holds its money, and what is written before."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.budget import BudgetTable
from mcp_cloud_agents.domain.errors import (
    BadConfig,
    NothingToApprove,
    OverBudget,
    PolicyDenied,
    Stopped,
)
from mcp_cloud_agents.governance.approval import GrantWish
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.stop_flag import Stop, StopFlag
from tests.paid_house import ASK, MODEL, WORST, MovedClock, PaidHouse, Tariff
from tests.unit.delegation.desk import Desk, Ground

DENY = "[[rules]]\nname = 'no commands'\ndecision = 'deny'\nreason = 'not on Fridays'\n"
DAY_S = 86_400
TWO = 2 * WORST / 1_000_000
ONE = WORST / 1_000_000


def refused(desk: Desk, number: int = 9) -> OverBudget:
    """The refusal of a job; nothing more is held than before."""
    before = desk.held()
    with pytest.raises(OverBudget) as caught:
        desk.ask(number)
    assert desk.held() == before
    assert desk.house.actions()[-1] == "denied"
    return caught.value


# What may start


def test_a_job_that_is_allowed_holds_its_worst_case_and_is_written_down(desk: Desk) -> None:
    assert desk.ask() is None
    assert desk.held() == WORST
    [link] = desk.house.links()
    entry = link.entry
    assert (entry.action, entry.job_id, entry.rule) == ("allowed", "j1", "default")
    assert (entry.actor.client, entry.actor.os_user) == ("codex", "ada")
    assert (entry.actor.session, entry.worst_micros) == ("server 1", WORST)
    assert (entry.tree, entry.spec_digest) == (
        desk.ground.spec.snapshot.tree,
        desk.ground.spec.digest,
    )
    assert json.loads(entry.facts)["worst_micros"] == WORST


def test_a_job_that_is_denied_holds_nothing_and_the_reason_is_told(desk: Desk) -> None:
    desk.house.policy(DENY)
    with pytest.raises(PolicyDenied, match=r"'no commands' of a policy says no: not on Fridays"):
        desk.ask()
    assert desk.held() == 0
    [link] = desk.house.links()
    assert (link.entry.action, "not on Fridays" in link.entry.reason) == ("denied", True)


def test_a_policy_that_was_edited_counts_for_the_next_job(desk: Desk) -> None:
    desk.ask(1)
    desk.house.policy(DENY)
    with pytest.raises(PolicyDenied):
        desk.ask(2)
    assert desk.held() == WORST


@pytest.mark.parametrize("worst", [WORST, 0])
def test_nothing_runs_while_a_policy_is_broken(desk: Desk, worst: int) -> None:
    desk.house.policy("default = 'alow'\n")
    desk.house.pricing = Tariff(worst)
    with pytest.raises(BadConfig, match=r"policy\.toml, line 1"):
        desk.ask()
    assert desk.held() == 0


def test_a_job_whose_denial_came_late_gives_back_what_it_held(desk: Desk) -> None:
    desk.ask()
    desk.house.policy(DENY)
    with pytest.raises(PolicyDenied):
        desk.ask()
    assert desk.held() == 0


@pytest.mark.parametrize("worst", [WORST, 0])
def test_nothing_starts_while_everything_is_stopped(desk: Desk, worst: int) -> None:
    desk.house.pricing = Tariff(worst)
    flag = StopFlag(desk.house.folder.path)
    flag.set(Stop(by="ada", at=0.0, why="the bill"))
    with pytest.raises(Stopped, match=r"ada stopped everything at .*: the bill"):
        desk.ask()
    assert (desk.held(), desk.house.actions()) == (0, ["denied"])
    flag.clear()
    desk.ask()
    assert desk.held() == worst


def test_the_policy_of_the_repository_can_deny_and_not_allow(
    ground: Ground, tmp_path: Path
) -> None:
    house = PaidHouse(ground.repository, state=str(tmp_path / "state"))
    file = ".cloud-agents/policy.toml"
    house.repository.write(file, DENY)
    try:
        place = house.place()
        request = house.request("true")
        spec = place.packer.pack(request, place.packer.locate(request.workspace))
        admission, record = house.admission(house.books()), Record(spec=spec, backend="local")
        with pytest.raises(PolicyDenied, match=r"'repository: no commands'.*not on Fridays"):
            admission.admit(record, place, MODEL)
        fresh = house.place()  # of a process that did not pack this tree
        with pytest.raises(PolicyDenied, match="repository: no commands"):
            admission.admit(record, fresh, MODEL)
    finally:
        (house.repository.path / file).unlink()


# Limits


LIMITS = {
    "session_usd": "this session",
    "workspace_month_usd": "this workspace",
    "day_usd": "this day",
    "month_usd": "this month",
}


@pytest.mark.parametrize(("key", "told"), LIMITS.items(), ids=LIMITS)
def test_a_limit_refuses_with_its_numbers_and_its_key(desk: Desk, key: str, told: str) -> None:
    desk.house.budget = BudgetTable(day_usd=None, month_usd=None)
    desk.house.budget = replace(desk.house.budget, **{key: TWO})
    desk.ask(1)
    desk.house.ledger.settle("j1", 30_000, at=desk.house.clock.now())
    desk.ask(2)
    error = refused(desk, 3)
    assert f"0.1 USD, and the limit of {told} has 0.07 USD left" in error.message
    assert "0.03 spent and 0.1 reserved of 0.2" in error.message
    assert f"budget.{key}" in error.hint


def test_a_job_above_the_limit_of_one_is_refused_before_any_other_limit(desk: Desk) -> None:
    desk.house.budget = BudgetTable(job_usd=0.05, day_usd=0)
    error = refused(desk)
    assert "0.1 USD, and a job may cost 0.05 USD" in error.message
    assert "budget.job_usd" in error.hint


def test_another_session_has_a_limit_of_its_own(desk: Desk) -> None:
    desk.house.budget = BudgetTable(session_usd=ONE)
    desk.ask(1)
    refused(desk, 2)
    desk.ask(3, session="server 2")
    assert desk.held() == 2 * WORST


def test_a_free_job_needs_no_room(desk: Desk) -> None:
    desk.house.budget = BudgetTable(job_usd=0, day_usd=0, month_usd=0, session_usd=0)
    desk.house.pricing = Tariff(0)
    desk.ask()
    assert (desk.held(), desk.house.actions()) == (0, ["allowed"])


def test_a_limit_that_was_raised_counts_at_once(desk: Desk) -> None:
    desk.house.budget = BudgetTable(day_usd=ONE)
    desk.ask(1)
    refused(desk, 2)
    desk.house.budget = BudgetTable(day_usd=TWO)
    desk.ask(2)
    assert desk.held() == 2 * WORST
    refused(desk, 3)


def test_a_limit_that_was_lowered_counts_at_once(desk: Desk) -> None:
    desk.house.budget = BudgetTable(day_usd=10)
    desk.ask(1)
    desk.house.budget = BudgetTable(day_usd=ONE / 2)
    error = refused(desk, 2)
    assert "has 0 USD left: 0 spent and 0.1 reserved of 0.05" in error.message
    desk.house.budget = BudgetTable(day_usd=ONE)
    refused(desk, 2)
    desk.house.budget = BudgetTable(day_usd=TWO)
    desk.ask(2)


def test_a_repeated_call_holds_its_money_once(desk: Desk) -> None:
    for _ in range(3):
        desk.ask(1)
    assert desk.held() == WORST


def test_a_new_day_opens_new_room_and_the_month_goes_on(desk: Desk) -> None:
    noon = 1_795_262_400.0  # 2026-11-21 12:00 UTC
    desk.house.clock = MovedClock(noon - MovedClock().now())
    desk.house.budget = BudgetTable(day_usd=ONE, month_usd=TWO)
    desk.ask(1)
    assert "this day" in refused(desk, 2).message
    desk.house.clock.moved_s += DAY_S
    desk.ask(2)
    desk.house.clock.moved_s += DAY_S
    assert "this month" in refused(desk, 3).message


def test_a_clock_moved_back_opens_no_room_of_yesterday(desk: Desk) -> None:
    desk.house.budget = BudgetTable(day_usd=ONE)
    desk.ask(1)
    desk.house.clock.moved_s -= DAY_S
    assert "this day" in refused(desk, 2).message
    desk.house.clock.moved_s += 2 * DAY_S
    desk.ask(2)


def test_a_clock_that_was_years_ahead_locks_nobody_out(desk: Desk) -> None:
    desk.house.budget = BudgetTable(day_usd=ONE, month_usd=None)
    desk.house.clock.moved_s = 3 * 365 * DAY_S
    desk.ask(1)
    desk.house.clock.moved_s = 0
    desk.ask(2)
    refused(desk, 3)


# A person agrees


def test_a_job_that_is_asked_about_holds_its_money_meanwhile(desk: Desk) -> None:
    desk.house.policy(ASK)
    question = desk.ask()
    assert question is not None
    assert (question.answer, question.facts.worst_micros) == (Answer.WAITING, WORST)
    assert (desk.held(), desk.house.actions()) == (WORST, ["asked"])


def use(desk: Desk, *, up_to: int) -> Callable[[int], Answer]:
    """Approve a job with a grant for more; tells how further jobs are answered."""
    desk.house.policy(ASK)
    desk.ask(1)
    desk.answer(Answer.APPROVED, 1, GrantWish(minutes=10, up_to_micros=up_to))

    def asked(number: int) -> Answer:
        question = desk.ask(number)
        assert question is not None
        return question.answer

    return asked


def test_a_grant_lets_as_many_jobs_start_as_it_has_money_for(desk: Desk) -> None:
    asked = use(desk, up_to=2 * WORST)
    assert [asked(2), asked(2), asked(3), asked(4)] == [
        "approved",
        "approved",
        "approved",
        "waiting",
    ]
    assert desk.house.actions().count("approved") == 3


def test_a_grant_ends_with_its_time(desk: Desk) -> None:
    asked = use(desk, up_to=9 * WORST)
    desk.house.clock.moved_s += 601
    assert asked(2) is Answer.WAITING


def test_a_yes_to_a_price_is_none_to_another_price(desk: Desk) -> None:
    desk.house.policy(ASK)
    desk.ask()
    desk.house.pricing = Tariff(2 * WORST)
    with pytest.raises(NothingToApprove, match="would do or cost has changed"):
        desk.answer(Answer.APPROVED)
    assert desk.held() == WORST


def test_a_no_frees_the_money_and_is_written_before(desk: Desk) -> None:
    desk.house.policy(ASK)
    desk.ask()
    desk.answer(Answer.DENIED)
    assert (desk.held(), desk.house.actions()) == (0, ["asked", "declined", "released"])


def test_a_yes_while_everything_is_stopped_leaves_the_question_open(desk: Desk) -> None:
    desk.house.policy(ASK)
    desk.ask()
    flag = StopFlag(desk.house.folder.path)
    flag.set(Stop(by="ada", at=0.0))
    with pytest.raises(Stopped):
        desk.answer(Answer.APPROVED)
    flag.clear()
    assert desk.answer(Answer.APPROVED).answer is Answer.APPROVED
