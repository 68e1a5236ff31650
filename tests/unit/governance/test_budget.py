"""Which limits a job counts against, and what its refusal says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.budget import BudgetTable, TeamBudget
from mcp_cloud_agents.domain.errors import BadConfig, OverBudget
from mcp_cloud_agents.domain.money import MICROS_PER_USD
from mcp_cloud_agents.governance.budget import (
    Spender,
    check_job,
    limits_of,
    over_budget,
    period_of,
)
from mcp_cloud_agents.ports.ledger import MOST_MICROS, Balance, Limit, OverLimit, Scope, ScopeKind
from mcp_cloud_agents.settings import load

NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC
DAY_S = 86_400.0
ADA = Spender(session="server 1", workspace="/home/ada/app")
ALL = BudgetTable(
    job_usd=1,
    session_usd=2,
    workspace_month_usd=3,
    day_usd=4,
    month_usd=5,
    team=TeamBudget(table="t", name="red", month_usd=6),
)


def scopes(budget: BudgetTable, at: float = NOON, who: Spender = ADA) -> list[tuple[str, str, int]]:
    return [
        (one.scope.kind, one.scope.key, one.cap_micros // MICROS_PER_USD)
        for one in limits_of(budget, who, at)
    ]


def test_every_limit_that_is_set_counts_the_narrowest_first() -> None:
    assert scopes(ALL) == [
        ("session", "server 1", 2),
        ("workspace", "2026-11 /home/ada/app", 3),
        ("day", "2026-11-21", 4),
        ("month", "2026-11", 5),
        ("team", "2026-11 red", 6),
    ]


def test_limits_that_are_not_set_are_no_limits() -> None:
    none = BudgetTable(job_usd=None, day_usd=None, month_usd=None)
    assert scopes(none) == []
    check_job(none, MOST_MICROS)


def test_a_limit_of_nothing_is_one_that_holds() -> None:
    assert scopes(BudgetTable(day_usd=0, month_usd=None)) == [("day", "2026-11-21", 0)]
    check_job(BudgetTable(job_usd=0), 0)
    with pytest.raises(OverBudget):
        check_job(BudgetTable(job_usd=0), 1)


def test_a_day_and_a_month_end_at_midnight_by_utc() -> None:
    last = 1_796_083_199.0  # 2026-11-30 23:59:59 UTC
    plain = BudgetTable()
    assert [key for _, key, _ in scopes(plain, last)] == ["2026-11-30", "2026-11"]
    assert [key for _, key, _ in scopes(plain, last + 1)] == ["2026-12-01", "2026-12"]


@given(st.text(st.characters(codec="utf-8"), min_size=161, max_size=4_000))
def test_long_paths_are_told_apart_in_keys_that_are_short(path: str) -> None:
    def key_of(workspace: str) -> str:
        found = scopes(replace(ALL, session_usd=None), who=replace(ADA, workspace=workspace))
        return found[0][1]

    assert len(key_of(path)) <= len("2026-11 ") + 160
    assert key_of(path) == key_of(path) != key_of(path + "x")


def test_a_clock_moved_back_opens_no_earlier_period() -> None:
    assert period_of(NOON - 3_600, NOON) == NOON
    assert period_of(NOON - 2 * DAY_S, NOON) == NOON


def test_a_clock_that_was_wildly_ahead_is_forgotten_once_it_is_right() -> None:
    assert period_of(NOON, NOON + 365 * DAY_S) == NOON
    assert period_of(NOON, NOON + 2 * DAY_S + 1) == NOON


def test_a_clock_that_goes_on_opens_the_next_period() -> None:
    assert period_of(NOON, None) == period_of(NOON, NOON) == period_of(NOON, NOON - 1) == NOON


@given(st.floats(0, 1e11), st.one_of(st.none(), st.floats(0, 1e11)))
def test_the_period_is_one_of_both_times_and_never_an_earlier_one(
    now: float, latest: float | None
) -> None:
    at = period_of(now, latest)
    assert at in (now, latest)
    assert at >= now


def test_a_job_above_its_limit_is_refused_with_both_sums_and_the_key() -> None:
    check_job(ALL, 1_000_000)
    with pytest.raises(OverBudget) as refused:
        check_job(ALL, 1_000_001)
    assert "may cost 1.000001 USD, and a job may cost 1 USD" in refused.value.message
    assert "budget.job_usd" in refused.value.hint


KEYS = {
    ScopeKind.SESSION: "budget.session_usd",
    ScopeKind.WORKSPACE: "budget.workspace_month_usd",
    ScopeKind.DAY: "budget.day_usd",
    ScopeKind.MONTH: "budget.month_usd",
    ScopeKind.TEAM: "configure team",
    ScopeKind.TEAM_OFFLINE: "budget.team.local_usd",
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_refusal_has_the_numbers_and_names_what_to_change(kind: ScopeKind) -> None:
    limit = Limit(scope=Scope(kind=kind, key="k"), cap_micros=25_000_000)
    balance = Balance(
        limit=limit, room_micros=1_500_000, spent_micros=20_500_000, open_micros=3_000_000
    )
    found = over_budget(OverLimit(balance=balance, needed_micros=2_000_000))
    told = re.findall(r"[0-9]+(?:\.[0-9]+)?", found.message)
    assert told == ["2", "1.5", "20.5", "3", "25"]
    assert f"limit of this {kind}" in found.message
    assert KEYS[kind] in found.hint
    assert "costs" in found.hint


def test_room_that_a_lowered_limit_left_below_nothing_is_told_as_nothing() -> None:
    limit = Limit(scope=Scope(kind=ScopeKind.DAY, key="k"), cap_micros=1)
    balance = Balance(limit=limit, room_micros=-9, spent_micros=10, open_micros=0)
    assert "0 USD left" in over_budget(OverLimit(balance=balance, needed_micros=1)).message


@pytest.mark.parametrize(
    "line",
    [
        "day_usd = -1",
        "day_usd = -0.000001",
        "job_usd = 1e7",
        "month_usd = nan",
        "month_usd = inf",
        "day_usd = '25'",
        "day_usd = true",
        "approval_minutes = 0",
        "approval_minutes = nan",
        "approval_minutes = 1e9",
        "week_usd = 1",
        "team = { month_usd = -1 }",
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, line: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    file = home / ".config" / "mcp-cloud-agents" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f"[budget]\n{line}\n")
    with pytest.raises(BadConfig, match=rf"{re.escape(str(file))}, line 2, column [0-9]+: "):
        load({"HOME": str(home)}, cwd=str(home))
