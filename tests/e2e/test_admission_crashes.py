"""Killed between any two writes of a submit, an answer or a settlement: the money is right again.

claim ─ reserve ─ write down ─┬─ start ─ … ─ write down ─ settle
                              └─ ask ─ answer ─ write down ─ reserve ─ write down ─ start
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.errors import NothingToApprove
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.governance.approval import GrantWish
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.ledger import ReservationState
from tests.contracts.places import ended, until
from tests.e2e.wire import Repository
from tests.killed_between_steps import Reached, Steps, killed
from tests.paid_house import ASK, PERSON, SPENT, WORST, PaidHouse, Tariff

pytestmark = pytest.mark.timeout(300)
KEY = "deploy-7"
GONE_S = 2 * 3_600
"""Then questions have expired, and no submit can be under way."""
Work = Callable[[PaidHouse], Awaitable[object]]


async def nothing(_: PaidHouse) -> None:
    """No preparation."""


async def submit(house: PaidHouse) -> JobView:
    return await house.runner().submit(house.request("echo ran", KEY))


async def the_job(runner: JobRunner) -> JobId | None:
    found = await runner.latest(workspace=None, limit=10)
    assert len(found) <= 1, "two jobs under one key"
    return found[0].spec.id if found else None


async def answer(house: PaidHouse, word: Answer) -> None:
    runner = house.runner()
    job = await the_job(runner)
    assert job is not None
    await runner.answer(job, word, actor=PERSON)


async def approve(house: PaidHouse) -> None:
    await answer(house, Answer.APPROVED)


async def deny(house: PaidHouse) -> None:
    await answer(house, Answer.DENIED)


async def ended_unseen(house: PaidHouse) -> None:
    await submit(house)
    runner = house.runner()
    job = await the_job(runner)
    assert job is not None
    await until(runner._places.first.backend, job, ended)


async def settle(house: PaidHouse) -> None:
    assert await house.runner().sweep() == 1


async def granted(house: PaidHouse) -> None:
    """A person let further jobs like this one start; that one has ended."""
    runner = house.runner()
    view = await runner.submit(house.request("echo first", "first"))
    grant = GrantWish(minutes=60 * 24, up_to_micros=WORST)
    await runner.answer(view.spec.id, Answer.APPROVED, actor=PERSON, grant=grant)
    await runner.wait(view.spec.id, timeout_s=60)
    runner._records.forget([view.spec.id])


@dataclass(frozen=True)
class Case:
    """Work that is killed, and what it is killed on."""

    work: Work
    before: Work = nothing
    policy: str = ""
    worst: int = WORST
    ran_before: int = 0
    """Jobs that cost their money before."""


CASES = {
    "free": Case(submit, worst=0),
    "paid": Case(submit),
    "asked": Case(submit, policy=ASK),
    "approved": Case(approve, before=submit, policy=ASK),
    "approved-free": Case(approve, before=submit, policy=ASK, worst=0),
    "denied": Case(deny, before=submit, policy=ASK),
    "by-grant": Case(submit, before=granted, policy=ASK, ran_before=1),
    "settled": Case(settle, before=ended_unseen),
}


def left_behind(
    repository: Repository, case: Case, name: str, reached: Reached
) -> PaidHouse | None:
    """What such a process left behind; None: it came to its end before."""
    house = PaidHouse(repository, state=name, pricing=Tariff(case.worst))
    Path(house.settings.state_dir).mkdir(mode=0o711)
    house.policy(case.policy)
    anyio.run(case.before, house)

    def work(steps: Steps) -> Awaitable[object]:
        return case.work(replace(house, wrap=steps.wrap))

    return house if killed(work, reached) else None


def check_once(house: PaidHouse, case: Case, states: set[str]) -> None:
    """At most one job more, at most one reservation of it, everything adds up."""
    found = house.check_books()
    assert len(found) <= 1 + case.ran_before
    assert {one.state.value for one in found} <= states, found
    folders = [name for name in os.listdir(house.folder.jobs) if not name.startswith(".")]
    assert len(folders) <= 1 + case.ran_before


async def again(house: PaidHouse, case: Case) -> None:
    """The same call by a new process, and what a person does next."""
    view = await submit(house)
    runner, job = house.runner(), view.spec.id
    assert job == await the_job(runner)
    if case.work is deny:
        if view.status.state is JobState.AWAITING_APPROVAL:
            view = await runner.answer(job, Answer.DENIED, actor=PERSON)
        assert (view.status.state, view.question is None) == (JobState.CANCELLED, False)
        check_once(house, case, {"released"})
        return
    if view.status.state is JobState.AWAITING_APPROVAL:
        await runner.answer(job, Answer.APPROVED, actor=PERSON)
    view = await runner.wait(job, timeout_s=60)
    log = await runner.log(job, offset=0, limit=1 << 20)
    assert view.status.state is JobState.SUCCEEDED, view
    assert log.data.count(b"\nran\n") == 1
    assert view.money is not None
    assert view.money.actual_micros == min(SPENT, case.worst)
    check_once(house, case, {"settled"})
    with pytest.raises(NothingToApprove):
        await runner.answer(job, Answer.APPROVED, actor=PERSON)


async def without_anybody(house: PaidHouse, case: Case) -> None:
    """Nobody calls again: the sweep gives back what never ran, and counts what did."""
    check_once(house, case, {"open", "settled", "released"})
    house.clock.moved_s += GONE_S
    runner = house.runner()
    await runner.sweep()
    for job in os.listdir(house.folder.jobs):
        if not job.startswith("."):
            await until(runner._places.first.backend, JobId(job), ended)
    await runner.sweep()
    check_once(house, case, {"settled", "released"})
    folders = set(os.listdir(house.folder.jobs))
    for one in house.check_books():
        ran = one.order.token in folders
        assert one.actual_micros == (SPENT if ran else 0)
        assert (one.state is ReservationState.SETTLED) == ran
    assert await runner.questions() == ()


SOON = (
    ("paid", "ledger.reserve after", again),
    ("paid", "audit.append after", without_anybody),
    ("asked", "approvals.ask before", without_anybody),
    ("approved", "approvals.answer after", again),
    ("denied", "approvals.answer after", without_anybody),
    ("settled", "ledger.settle before", again),
)


@pytest.mark.parametrize(("name", "at", "then"), SOON, ids=[f"{one[0]}-{one[1]}" for one in SOON])
def test_a_process_killed_at_a_step_leaves_the_money_right(
    repository: Repository, name: str, at: str, then: Callable[[PaidHouse, Case], Awaitable[None]]
) -> None:
    house = left_behind(repository, CASES[name], "killed", lambda _, step: step == at)
    assert house is not None
    anyio.run(then, house, CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_process_killed_at_any_step_leaves_the_money_right(
    repository: Repository, name: str
) -> None:
    case, at = CASES[name], 0

    def reached(number: int, _: str) -> bool:
        return number == at

    while (house := left_behind(repository, case, f"again-{at}", reached)) is not None:
        anyio.run(again, house, case)
        alone = left_behind(repository, case, f"alone-{at}", reached)
        assert alone is not None
        anyio.run(without_anybody, alone, case)
        at += 1
    assert at >= 4, "it did next to nothing"
