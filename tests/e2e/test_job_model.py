"""Jobs and their money against a model, in any order of what models, persons and clocks do.

The runner, the books and the jobs are real; each step is done by a process that knows nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.budget import BudgetTable
from mcp_cloud_agents.domain.errors import NothingToApprove, OverBudget
from mcp_cloud_agents.domain.job import JobId, JobState, next_states
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.ledger import ReservationState, Scope, ScopeKind
from mcp_cloud_agents.storage.trees import remove_tree
from tests.e2e.wire import a_repository
from tests.paid_house import MODEL, PERSON, SPENT, WORST, PaidHouse

T = TypeVar("T")
pytestmark = pytest.mark.timeout(900)
ASKED, ALLOWED = "asked_agent", "allowed_agent"
POLICY = f"""\
[[rules]]
name = 'look first'
decision = 'ask'
reason = 'a person looks'
[rules.when]
agent = '{ASKED}'
"""
SESSION = Scope(kind=ScopeKind.SESSION, key="server 1")
CAP = 4 * WORST
HOUR_S = 3_600
WAITING = JobState.AWAITING_APPROVAL
KEYS = st.sampled_from(["one", "two", "three", "four", "five"])
MEMBERS = st.integers(0, 4)


def reachable(state: JobState) -> set[JobState]:
    """What may be seen after it: steps in between can be missed."""
    found, todo = {state}, [state]
    while todo:
        new = next_states(todo.pop()) - found
        found |= new
        todo += new
    return found


@dataclass
class Known:
    """What the model knows of a job."""

    job: JobId
    seen: JobState
    asked: bool
    until: float
    """Nobody can approve it from then on."""
    long: bool
    started: bool
    held_back: bool = True
    """Whether its money is; once nobody agreed, it is not while it waits."""
    ending: bool = False
    """It was cancelled."""


class Jobs(RuleBasedStateMachine):
    """Each rule is a step of somebody."""

    def __init__(self) -> None:
        super().__init__()
        scratch = Path(tempfile.mkdtemp(prefix="mca-model-")).resolve()
        scratch.chmod(0o711)
        self.scratch = scratch
        self.house = PaidHouse(
            a_repository(scratch), budget=BudgetTable(session_usd=CAP / 1_000_000)
        )
        self.house.policy(POLICY)
        self.house.runner()  # makes the state folder
        self.known: dict[str, Known] = {}

    def do(self, work: Callable[[JobRunner], Awaitable[T]]) -> T:
        """A step of a new process."""

        async def step() -> T:
            return await work(self.house.runner())

        return anyio.run(step)

    def one(self, member: int) -> Known:
        return list(self.known.values())[member % len(self.known)]

    def waits(self, known: Known) -> bool:
        """Whether a person can answer."""
        return not known.started and not known.seen.done and self.house.clock.now() < known.until

    def saw(self, known: Known, view: JobView) -> None:
        """What is told must be a legal step, and what the model has."""
        state = view.status.state
        assert view.spec.id == known.job
        assert state in reachable(known.seen), (known, view.status)
        states = [one for one, _ in view.status.history]
        for before, after in pairwise(states):
            assert after in next_states(before), view.status
        assert (state is WAITING) == self.waits(known), (known, view.status)
        if not known.started and state.done:
            assert state is JobState.CANCELLED
        known.seen = state

    def refused(self, error: OverBudget) -> None:
        """Only when there is no room for one job, jobs that ended unseen not counted."""
        [balance] = self.house.ledger.balances([SESSION])
        assert balance.room_micros < WORST, error.message

    @rule(key=KEYS, asked=st.booleans(), long=st.booleans())
    def submit(self, key: str, *, asked: bool, long: bool) -> None:
        command = f"echo {key}{'; sleep 600' if long else ''}"
        request = self.house.request(command, key, agent=ASKED if asked else ALLOWED)
        until = self.house.clock.now() + HOUR_S
        try:
            view = self.do(lambda runner: runner.submit(request))
        except OverBudget as exc:
            assert key not in self.known
            self.refused(exc)
            return
        if key not in self.known:
            self.known[key] = Known(
                job=view.spec.id,
                seen=WAITING if asked else JobState.QUEUED,
                asked=asked,
                until=until,
                long=long,
                started=not asked,
            )
        self.saw(self.known[key], view)

    @precondition(lambda self: self.known)
    @rule(member=MEMBERS)
    def approve(self, member: int) -> None:
        known = self.one(member)
        try:
            view = self.answer(known, Answer.APPROVED)
        except OverBudget as exc:
            assert not known.held_back
            self.refused(exc)
            return
        if view is not None:
            known.started = True
            self.saw(known, view)

    @precondition(lambda self: self.known)
    @rule(member=MEMBERS)
    def deny(self, member: int) -> None:
        known = self.one(member)
        view = self.answer(known, Answer.DENIED)
        if view is not None:
            assert view.status.state is JobState.CANCELLED
            known.seen = view.status.state

    def answer(self, known: Known, word: Answer) -> JobView | None:
        waits = self.waits(known)
        try:
            view = self.do(lambda runner: runner.answer(known.job, word, actor=PERSON))
        except NothingToApprove:
            assert not waits
            return None
        assert waits
        return view

    @precondition(lambda self: self.known)
    @rule(member=MEMBERS)
    def nobody_agrees_now(self, member: int) -> None:
        known = self.one(member)
        waits = self.waits(known)
        try:
            view = self.do(lambda runner: runner.hold(known.job, actor=MODEL, why="w"))
        except NothingToApprove:
            assert not waits
            return
        known.held_back = False
        self.saw(known, view)

    @precondition(lambda self: self.known)
    @rule(member=MEMBERS)
    def cancel(self, member: int) -> None:
        known = self.one(member)
        waited = self.waits(known)
        view = self.do(lambda runner: runner.cancel(known.job, MODEL))
        known.ending = True
        if waited:
            assert view.status.state is JobState.CANCELLED
            known.seen = view.status.state
        else:
            self.saw(known, view)

    @precondition(lambda self: self.known)
    @rule(member=MEMBERS)
    def wait(self, member: int) -> None:
        known = self.one(member)
        endless = (known.long and not known.ending) or self.waits(known)
        timeout_s = 0.05 if endless else 60
        view = self.do(lambda runner: runner.wait(known.job, timeout_s=timeout_s))
        self.saw(known, view)
        assert view.status.state.done or endless, view.status

    @rule()
    def an_hour_passes(self) -> None:
        self.house.clock.moved_s += HOUR_S + 1

    @rule()
    def sweep(self) -> None:
        self.do(lambda runner: runner.sweep())
        for held in self.house.ledger.open():
            [known] = [one for one in self.known.values() if one.job == held.order.token]
            assert known.started or self.waits(known)

    @invariant()
    def money_adds_up_and_fits_the_states(self) -> None:
        found = {one.order.token: one for one in self.house.check_books()}
        assert set(found) == {known.job for known in self.known.values()}
        for balance in self.house.ledger.balances([SESSION]):
            assert balance.room_micros >= 0
        for known in self.known.values():
            held = found[known.job]
            if known.started:
                assert held.state is not ReservationState.RELEASED, known
                assert held.actual_micros in (0, SPENT)
                assert (held.state is ReservationState.SETTLED) or not known.seen.done
            elif known.seen.done or not known.held_back:
                assert held.state is ReservationState.RELEASED, known
            else:
                assert held.state in (ReservationState.OPEN, ReservationState.RELEASED)
                assert (held.state is ReservationState.OPEN) or not self.waits(known)

    def teardown(self) -> None:
        """All jobs end, and nothing is held back."""
        for known in self.known.values():
            self.do(lambda runner, job=known.job: runner.cancel(job, MODEL))
            view = self.do(lambda runner, job=known.job: runner.wait(job, timeout_s=60))
            assert view.status.state.done
        self.do(lambda runner: runner.sweep())
        assert self.house.ledger.open() == ()
        self.house.check_books()
        remove_tree(str(self.scratch))


def run(examples: int, steps: int, *, repeatable: bool) -> None:
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=repeatable,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(Jobs, settings=profile)


def test_states_and_money_are_as_the_model_has_them_in_a_few_orders() -> None:
    run(3, 10, repeatable=True)


@pytest.mark.slow
def test_states_and_money_are_as_the_model_has_them_in_any_order() -> None:
    run(25, 20, repeatable=False)
