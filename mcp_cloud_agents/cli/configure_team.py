"""`configure team`: the limit that all members of a team share, in their DynamoDB table."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.bootstrap.books import audit_for, ledger_for
from mcp_cloud_agents.cli.actor import at_a_terminal
from mcp_cloud_agents.cli.session import tell, write
from mcp_cloud_agents.domain.errors import AgentsError, BadConfig
from mcp_cloud_agents.domain.money import micros_of, usd
from mcp_cloud_agents.governance.budget import Spender, limits_of
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.ledger import ScopeKind
from mcp_cloud_agents.settings import load

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.ledger import Balance, Limit
    from mcp_cloud_agents.settings import Settings


def team(
    month_usd: Annotated[
        float, typer.Option("--month-usd", min=0, max=1_000_000, help="US dollars a month.")
    ],
) -> None:
    """Set the limit of this month that the whole team shares; what is spent and held stays.

    The next month begins with the month_usd of whoever submits first.
    """
    try:
        balance = _set(load(), month_usd)
    except AgentsError as exc:
        tell(exc)
    write(
        f"this month: {usd(balance.limit.cap_micros)} USD, {usd(balance.spent_micros)} spent, "
        f"{usd(balance.open_micros)} held, {usd(balance.room_micros)} left\n"
    )


def _set(settings: Settings, month_usd: float) -> Balance:
    limit = replace(team_limit(settings), cap_micros=micros_of(month_usd))
    entry = Entry(
        at=time.time(),
        action=Action.LIMITED,
        actor=at_a_terminal(),
        reason=f"the team's limit of {limit.scope.key} is {usd(limit.cap_micros)} USD",
    )
    audit_for(settings).append(entry)
    return ledger_for(settings).set_cap(limit)


def team_limit(settings: Settings) -> Limit:
    """The team's limit of this month as the person's file has it. Raises BadConfig: no team."""
    limits = limits_of(settings.budget, Spender(session="", workspace=""), time.time())
    found = next((one for one in limits if one.scope.kind is ScopeKind.TEAM), None)
    if found is None:
        raise BadConfig(
            f"{settings.file}: [budget.team] names no table.",
            hint="Turn on `team_budget` in the Terraform module, and set budget.team.table to its "
            "output team_budget_table (docs/costs.md).",
        )
    return found
