"""The table `[budget]` of the person's file: what may be spent, at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

Usd = Annotated[float, Meta(ge=0, le=1_000_000)]


class Unreachable(StrEnum):
    """What to do when the team's table cannot be reached."""

    REFUSE = "refuse"
    LOCAL = "local"
    """Go on up to `local_usd` a day of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamBudget:
    """The table `[budget.team]`: a DynamoDB table that several machines count in."""

    table: str = ""
    """Name of the table; empty: no team."""
    name: str = "team"
    month_usd: Usd = 500
    """Of all members together; the first member's word is stored, `configure team` changes it."""
    when_unreachable: Unreachable = Unreachable.REFUSE
    local_usd: Usd = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetTable:
    """Most that may be spent. Reserved in full before a job starts; None: no limit of its own."""

    job_usd: Usd | None = 10
    session_usd: Usd | None = None
    """One run of the server, or one terminal session."""
    workspace_month_usd: Usd | None = None
    day_usd: Usd | None = 25
    """Of this machine, by UTC."""
    month_usd: Usd | None = 250
    approval_minutes: Annotated[float, Meta(gt=0, le=10_080)] = 60
    """How long a job waits for a person before it is given up."""
    team: TeamBudget = field(default_factory=TeamBudget)
