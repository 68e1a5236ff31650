"""What is shown of money: groups, bars, limits that are near."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.governance.spending import (
    By,
    Row,
    bar,
    of_each,
    seconds_of,
    spending,
    warnings,
)
from mcp_cloud_agents.ports.ledger import (
    Balance,
    Limit,
    Order,
    Reservation,
    ReservationState,
    Scope,
    ScopeKind,
    Tags,
)

DAY_S = 86_400.0
TODAY = Scope(kind=ScopeKind.DAY, key="2026-11-21")


def settled(number: int, micros: int, *, agent: str = "a", model: str = "") -> Reservation:
    """A job that ended on the day of its number."""
    return Reservation(
        order=Order(
            token=f"j{number}",
            amount_micros=10 * micros,
            limits=(),
            at=number * DAY_S,
            expires_at=number * DAY_S + 60,
            tags=Tags(agent=agent, backend="aws_batch", workspace=f"/w{number % 2}", model=model),
        ),
        state=ReservationState.SETTLED,
        actual_micros=micros,
        ended_at=number * DAY_S + 60,
    )


JOBS = (settled(3, 5), settled(1, 7, agent="b", model="m"), settled(3, 4, model="m"))


def a_balance(cap: int, spent: int, held: int = 0) -> Balance:
    limit = Limit(scope=TODAY, cap_micros=cap)
    room = cap - spent - held
    return Balance(limit=limit, room_micros=room, spent_micros=spent, open_micros=held)


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        (By.DAY, [("1970-01-02", 7, 1), ("1970-01-04", 9, 2)]),
        (By.SUBAGENT, [("a", 9, 2), ("b", 7, 1)]),
        (By.WORKSPACE, [("/w1", 16, 3)]),
        (By.BACKEND, [("aws_batch", 16, 3)]),
        (By.MODEL, [("m", 11, 2), ("no model", 5, 1)]),
    ],
)
def test_spending_is_grouped_by_what_was_asked_for(
    by: By, rows: list[tuple[str, int, int]]
) -> None:
    wanted = tuple(Row(name=name, micros=micros, jobs=jobs) for name, micros, jobs in rows)
    assert spending(JOBS, by) == wanted


def test_every_grouping_adds_up_to_the_same_sum() -> None:
    assert {sum(row.micros for row in spending(JOBS, by)) for by in By} == {16}
    assert spending((), By.DAY) == ()


def test_a_bar_is_a_share_of_the_largest_and_never_empty_for_money() -> None:
    assert [len(bar(micros, 1_000_000)) for micros in (0, 1, 500_000, 1_000_000)] == [0, 1, 20, 40]


@pytest.mark.parametrize(
    ("period", "seconds"), [("12h", 43_200), ("30d", 2_592_000), ("4w", 2_419_200)]
)
def test_a_period_is_read_in_hours_days_and_weeks(period: str, seconds: int) -> None:
    assert seconds_of(period) == seconds


@pytest.mark.parametrize("period", ["", "0d", "-1d", "30", "d", "1y", "99999d", "1.5h", "٣d"])
def test_what_is_no_period_is_refused(period: str) -> None:
    with pytest.raises(InvalidArgument):
        seconds_of(period)


def test_a_limit_that_nothing_counted_in_has_all_its_room() -> None:
    limit = Limit(scope=TODAY, cap_micros=100)
    assert of_each([limit], []) == (a_balance(100, 0),)


@pytest.mark.parametrize("cap", [40, 200])
def test_of_a_limit_that_was_changed_the_file_decides(cap: int) -> None:
    limit = Limit(scope=TODAY, cap_micros=cap)
    assert of_each([limit], [a_balance(100, 30, 20)]) == (a_balance(cap, 30, 20),)


@pytest.mark.parametrize(("own", "left"), [(40, -10), (200, 50)])
def test_of_a_team_the_lower_one_of_both_caps_decides(own: int, left: int) -> None:
    team = Scope(kind=ScopeKind.TEAM, key="2026-11 team")
    stored = replace(a_balance(100, 30, 20), limit=Limit(scope=team, cap_micros=100))
    [told] = of_each([Limit(scope=team, cap_micros=own)], [stored])
    assert told.room_micros == left


def test_limits_that_are_near_and_money_held_for_long_are_told() -> None:
    young, old = settled(2, 500_000), settled(1, 100_000)
    told = warnings(
        [a_balance(1_000_000, 700_000, 100_000), a_balance(100, 79), a_balance(0, 0)],
        [young, old],
        now=2 * DAY_S + 1,
    )
    assert told == (
        "The limit of this day is used up to 80 %: 0.2 USD are left.",
        "The limit of this day is used up to 100 %: 0 USD are left.",
        "1 USD are held back for j1 for more than a day: look at the job, or end it.",
    )
