"""What every implementation of the port `Ledger` keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mcp_cloud_agents.ports.ledger import (
    Ledger,
    Limit,
    OverLimit,
    ReservationState,
    Reserved,
    ScopeKind,
    Tags,
)
from tests.ledgers import (
    DAY,
    KINDS,
    MONTH,
    TAGS,
    TEAM,
    an_emulator,
    check,
    limit,
    new_ledger,
    order,
)

BOTH = (DAY, TEAM)


def both(room: int, spent: int, held: int) -> dict[ScopeKind, tuple[int, int, int]]:
    return {ScopeKind.DAY: (room, spent, held), ScopeKind.TEAM: (room, spent, held)}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Callable[[], str]]:
    """Starts an AWS when somebody asks for it, once."""
    with ExitStack() as started:
        yield cache(lambda: started.enter_context(an_emulator()).endpoint)


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path, endpoint: Callable[[], str]) -> Ledger:
    return new_ledger(request.param, tmp_path, endpoint)


def test_reserved_money_is_out_of_the_room_of_every_scope(ledger: Ledger) -> None:
    assert ledger.reserve([order("j1", 30)]) == Reserved()
    assert check(ledger, *BOTH) == both(70, 0, 30)
    held = ledger.get("j1")
    assert held is not None
    assert (held.order, held.state) == (order("j1", 30), ReservationState.OPEN)
    assert ledger.open() == (held,)


def test_a_settled_job_counts_what_it_did_cost_once(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 30)])
    done = ledger.settle("j1", 12, at=5.5)
    assert done is not None
    assert (done.state, done.actual_micros, done.ended_at) == (ReservationState.SETTLED, 12, 5.5)
    assert check(ledger, *BOTH) == both(88, 12, 0)
    assert ledger.settle("j1", 99, at=9.0) == done == ledger.get("j1")
    assert ledger.release("j1", at=9.0) == done
    assert (check(ledger, *BOTH), ledger.open()) == (both(88, 12, 0), ())


def test_a_cost_that_nobody_knows_is_the_whole_reservation(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 30)])
    done = ledger.settle("j1", None, at=5.0)
    assert done is not None
    assert (done.actual_micros, check(ledger, *BOTH)) == (30, both(70, 30, 0))


def test_a_cost_above_the_reservation_counts_in_full(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 30)])
    ledger.settle("j1", 130, at=5.0)
    assert check(ledger, *BOTH) == both(-30, 130, 0)
    assert isinstance(ledger.reserve([order("j2", 1)]), OverLimit)


def test_a_released_job_gives_its_money_back_and_may_come_again(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 30)])
    for at in (2.0, 3.0):
        back = ledger.release("j1", at=at)
        assert back is not None
        assert (back.state, back.ended_at) == (ReservationState.RELEASED, 2.0)
    assert check(ledger, *BOTH) == both(100, 0, 0)
    assert ledger.reserve([order("j1", 40, at=4.0)]) == Reserved()
    assert check(ledger, *BOTH) == both(60, 0, 40)


def test_a_released_job_that_ran_all_the_same_is_counted(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 30)])
    ledger.release("j1", at=2.0)
    ledger.settle("j1", 7, at=3.0)
    assert check(ledger, *BOTH) == both(93, 7, 0)


def test_the_same_token_is_held_back_once(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 30)])
    assert ledger.reserve([order("j1", 30)]) == Reserved(already=True)
    assert check(ledger, *BOTH) == both(70, 0, 30)
    ledger.settle("j1", 12, at=5.0)
    assert ledger.reserve([order("j1", 30)]) == Reserved(already=True)
    assert check(ledger, *BOTH) == both(88, 12, 0)


def test_what_nobody_reserved_is_answered_by_none(ledger: Ledger) -> None:
    assert (ledger.get("j"), ledger.settle("j", 1, at=1.0), ledger.release("j", at=1.0)) == (
        *(None, None, None),
    )
    assert (ledger.open(), ledger.balances([DAY]), ledger.latest_at()) == ((), (), None)
    assert ledger.reserve([]) == Reserved()


@pytest.mark.parametrize("narrow", BOTH)
def test_the_scope_without_room_refuses_and_nothing_is_held(ledger: Ledger, narrow: object) -> None:
    limits = tuple(limit(one, 20 if one == narrow else 100) for one in BOTH)
    ledger.reserve([order("j1", 15, *limits)])
    before = check(ledger, *BOTH)
    refused = ledger.reserve([order("j2", 6, *limits)])
    assert isinstance(refused, OverLimit)
    balance = refused.balance
    assert (balance.limit, refused.needed_micros) == (Limit(scope=narrow, cap_micros=20), 6)  # pyright: ignore[reportArgumentType]  one of BOTH
    assert (balance.room_micros, balance.spent_micros, balance.open_micros) == (5, 0, 15)
    assert check(ledger, *BOTH) == before
    held = ledger.get("j2")
    assert held is None or held.state is ReservationState.RELEASED
    assert ledger.reserve([order("j3", 5, *limits)]) == Reserved()


def test_of_several_refusals_the_narrowest_is_told(ledger: Ledger) -> None:
    wide_first = (limit(TEAM, 1), limit(MONTH, 2), limit(DAY, 3))
    refused = ledger.reserve([order("j1", 9, *wide_first)])
    assert isinstance(refused, OverLimit)
    assert refused.balance.limit == limit(DAY, 3)
    assert ledger.balances([DAY, MONTH, TEAM]) == ()


def test_many_orders_are_reserved_together_or_not_at_all(ledger: Ledger) -> None:
    fan_out = [order(f"j{number}", 30) for number in range(3)]
    assert ledger.reserve(fan_out) == Reserved()
    assert check(ledger, *BOTH) == both(10, 0, 90)
    more = [order("j0", 30), order("k1", 6), order("k2", 5)]
    refused = ledger.reserve(more)
    assert isinstance(refused, OverLimit)
    assert refused.needed_micros == 11
    assert check(ledger, *BOTH) == both(10, 0, 90)
    assert ledger.reserve([order("j0", 30), order("k1", 10)]) == Reserved()
    assert [one.order.token for one in ledger.open()] == ["j0", "j1", "j2", "k1"]


@pytest.mark.parametrize("given", [50, 150])
def test_the_lower_cap_decides_and_the_stored_one_stays(ledger: Ledger, given: int) -> None:
    ledger.reserve([order("j1", 40)])
    caps = (limit(DAY, given), limit(TEAM, given))
    low = min(given, 100)
    refused = ledger.reserve([order("j2", low - 39, *caps)])
    assert isinstance(refused, OverLimit)
    assert (refused.balance.limit.cap_micros, refused.balance.room_micros) == (low, low - 40)
    assert ledger.reserve([order("j2", low - 40, *caps)]) == Reserved()
    assert check(ledger, *BOTH) == both(100 - low, 0, low)


def test_a_cap_is_changed_and_what_is_spent_stays(ledger: Ledger) -> None:
    ledger.reserve([order("j1", 60)])
    for scope in BOTH:
        assert ledger.set_cap(limit(scope, 50)).room_micros == -10
    assert check(ledger, *BOTH) == both(-10, 0, 60)
    ledger.settle("j1", 20, at=2.0)
    assert check(ledger, *BOTH) == both(30, 20, 0)
    new = ledger.set_cap(limit(MONTH, 7))
    assert (new.room_micros, ledger.balances([MONTH])) == (7, (new,))


def test_open_ones_come_oldest_first_and_the_newest_time_is_known(ledger: Ledger) -> None:
    for token, at in (("j1", 3.25), ("j2", 1_763_000_000.123456), ("j3", 2.0)):
        ledger.reserve([order(token, 1, at=at)])
    assert [one.order.token for one in ledger.open()] == ["j3", "j1", "j2"]
    ledger.release("j2", at=9.0)
    assert ledger.latest_at() == 1_763_000_000.123456


def test_settled_ones_are_listed_by_their_end(ledger: Ledger) -> None:
    for number, ended in enumerate((7.0, 5.0, 6.0)):
        ledger.reserve([order(f"j{number}", 5)])
        ledger.settle(f"j{number}", number, at=ended)
    ledger.reserve([order("j8", 5), order("j9", 5)])
    ledger.release("j8", at=6.0)
    found = ledger.ended(since=5.0, until=7.0)
    assert [one.order.token for one in found] == ["j1", "j2"]


def test_past_costs_are_of_exactly_these_tags_newest_first(ledger: Ledger) -> None:
    other: Tags = replace(TAGS, model="other")
    for number, tags in enumerate((TAGS, TAGS, other, TAGS)):
        ledger.reserve([order(f"j{number}", 5, tags=tags)])
        ledger.settle(f"j{number}", number, at=float(number))
    assert ledger.past_micros(TAGS, limit=2) == (3, 1)
    assert ledger.past_micros(replace(TAGS, workspace="/b"), limit=9) == ()


def test_mistakes_of_the_program_are_no_orders(ledger: Ledger) -> None:
    for amount in (-1, 10**16, 1.5, True):
        with pytest.raises(ValueError, match="no sum"):
            order("j1", amount)  # pyright: ignore[reportArgumentType]  the point
    with pytest.raises(ValueError, match="once"):
        order("j1", 1, limit(DAY), limit(DAY, 5))
    with pytest.raises(ValueError, match="same token"):
        ledger.reserve([order("j1"), order("j1")])
    ledger.reserve([order("j1")])
    with pytest.raises(ValueError, match="no sum"):
        ledger.settle("j1", -5, at=1.0)
    assert check(ledger, *BOTH) == both(90, 0, 10)


def test_many_threads_never_pass_a_limit(ledger: Ledger) -> None:
    def job(number: int) -> bool:
        token = f"j{number % 20}"  # every token twice, by two threads
        if isinstance(ledger.reserve([order(token, 9)]), OverLimit):
            return False
        if number % 3 == 0:
            ledger.release(token, at=2.0)
        elif number % 3 == 1:
            ledger.settle(token, 4, at=2.0)
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(job, range(40)))
    assert any(outcomes)
    for room, spent, held in check(ledger, *BOTH).values():
        assert room >= 0
        assert held == 9 * len(ledger.open())
        assert spent == sum(one.actual_micros for one in ledger.ended(since=0.0, until=9.0))
