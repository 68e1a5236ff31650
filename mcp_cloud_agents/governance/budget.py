"""Which limits a job counts against, and what is said when one would be passed. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import OverBudget
from mcp_cloud_agents.domain.money import micros_of, usd
from mcp_cloud_agents.ports.ledger import Limit, Scope, ScopeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.domain.budget import BudgetTable, Usd
    from mcp_cloud_agents.ports.ledger import Balance, OverLimit

_LONGEST_BACK_S = 2 * 86_400
"""A clock that was moved back by more was wrong before: its periods are not kept."""
_LONGEST_KEY = 160
_FILE = "~/.config/mcp-cloud-agents/config.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """Whose limits count."""

    session: str
    workspace: str
    """Real path of the top of the worktree."""


def period_of(now: float, latest: float | None) -> float:
    """The time whose day and month count: a clock that was moved back opens no earlier ones.

    Args:
        now: what the clock says, seconds since the epoch.
        latest: the newest time that money was reserved at; None: never.
    """
    if latest is None or not now < latest <= now + _LONGEST_BACK_S:
        return now
    return latest


def limits_of(budget: BudgetTable, spender: Spender, at: float) -> tuple[Limit, ...]:
    """The limits of this machine and of the team, the narrowest first.

    Args:
        budget: the person's.
        spender: who.
        at: see `period_of`.
    """
    when = datetime.fromtimestamp(at, UTC)
    month = f"{when:%Y-%m}"
    team = budget.team
    wanted: tuple[tuple[ScopeKind, str, Usd | None], ...] = (
        (ScopeKind.SESSION, spender.session, budget.session_usd),
        (ScopeKind.WORKSPACE, f"{month} {_short(spender.workspace)}", budget.workspace_month_usd),
        (ScopeKind.DAY, f"{when:%Y-%m-%d}", budget.day_usd),
        (ScopeKind.MONTH, month, budget.month_usd),
        (ScopeKind.TEAM, f"{month} {team.name}", team.month_usd if team.table else None),
    )
    return tuple(_limits(wanted))


def _limits(wanted: tuple[tuple[ScopeKind, str, Usd | None], ...]) -> Iterator[Limit]:
    for kind, key, cap in wanted:
        if cap is not None:
            yield Limit(scope=Scope(kind=kind, key=key), cap_micros=micros_of(cap))


def _short(path: str) -> str:
    """A path as a key that entries of the audit can hold whole."""
    if len(path) <= _LONGEST_KEY:
        return path
    digest = hashlib.sha256(path.encode(errors="replace")).hexdigest()[:12]
    return f"{path[: _LONGEST_KEY - 13]}~{digest}"


def check_job(budget: BudgetTable, worst_micros: int) -> None:
    """Hold one job against the limit for a single one.

    Raises:
        OverBudget: it may cost more.
    """
    if budget.job_usd is None or worst_micros <= micros_of(budget.job_usd):
        return
    raise OverBudget(
        f"The job may cost {usd(worst_micros)} USD, and a job may cost {budget.job_usd:g} USD here "
        "(budget.job_usd). Nothing was started.",
        hint="Ask for less: a shorter timeout_minutes, a lower max_usd, fewer attempts, or "
        f'backend="local"; or let a person raise budget.job_usd in {_FILE}.',
    )


def over_budget(refused: OverLimit) -> OverBudget:
    """The refusal of a limit, with its numbers."""
    balance, kind = refused.balance, refused.balance.limit.scope.kind
    return OverBudget(
        f"The job may cost {usd(refused.needed_micros)} USD, and the limit of this {kind} has "
        f"{usd(max(0, balance.room_micros))} USD left: {_sums(balance)}. Nothing was started.",
        hint="Wait for jobs that are under way (what they do not use comes back), ask for less "
        f"(timeout_minutes, max_usd), or let a person raise {_KEYS[kind]} in {_FILE}. "
        "`mcp-cloud-agents costs` shows where the money went.",
    )


def _sums(balance: Balance) -> str:
    return (
        f"{usd(balance.spent_micros)} spent and {usd(balance.open_micros)} reserved of "
        f"{usd(balance.limit.cap_micros)}"
    )


_KEYS = {
    ScopeKind.JOB: "budget.job_usd",
    ScopeKind.SESSION: "budget.session_usd",
    ScopeKind.WORKSPACE: "budget.workspace_month_usd",
    ScopeKind.DAY: "budget.day_usd",
    ScopeKind.MONTH: "budget.month_usd",
    ScopeKind.TEAM: "the team's limit (`mcp-cloud-agents configure team`)",
    ScopeKind.TEAM_OFFLINE: "budget.team.local_usd",
}
