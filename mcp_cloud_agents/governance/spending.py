"""What was spent, grouped; what is held back; which limits are near. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.ports.ledger import Balance, ScopeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcp_cloud_agents.ports.ledger import Limit, Reservation

_PERIOD = re.compile(r"([1-9][0-9]{0,3})([hdw])", re.ASCII)
_UNITS_S = {"h": 3_600, "d": 86_400, "w": 604_800}
_NEAR = 80
"""Percent of a limit from which on it is told."""
_LONG_OPEN_S = 86_400.0
BAR_CHARS = 40


class By(StrEnum):
    """What spending is grouped by."""

    DAY = "day"
    SUBAGENT = "subagent"
    WORKSPACE = "workspace"
    BACKEND = "backend"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one group did cost."""

    name: str
    micros: int
    jobs: int


def seconds_of(period: str) -> int:
    """`12h`, `30d` or `4w` in seconds. Raises InvalidArgument."""
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise InvalidArgument(
            f"{period[:40]!r} is no period.", hint="Write hours, days or weeks: 12h, 30d, 4w."
        )
    return int(found[1]) * _UNITS_S[found[2]]


def spending(settled: Iterable[Reservation], by: By) -> tuple[Row, ...]:
    """Settled reservations in groups: days in their order, all others by what they did cost."""
    micros, jobs = Counter[str](), Counter[str]()
    for one in settled:
        name = _group(one, by)
        micros[name] += one.actual_micros
        jobs[name] += 1
    rows = [Row(name=name, micros=micros[name], jobs=jobs[name]) for name in sorted(jobs)]
    if by is not By.DAY:
        rows.sort(key=lambda row: -row.micros)
    return tuple(rows)


def _group(one: Reservation, by: By) -> str:
    tags = one.order.tags
    match by:
        case By.DAY:
            return f"{datetime.fromtimestamp(one.ended_at or one.order.at, UTC):%Y-%m-%d}"
        case By.SUBAGENT:
            return tags.agent
        case By.WORKSPACE:
            return tags.workspace
        case By.BACKEND:
            return tags.backend
        case By.MODEL:
            return tags.model or "no model"
        case _:
            assert_never(by)


def bar(micros: int, most: int) -> str:
    """The row's share of the largest one as `#`; something that did cost has at least one."""
    if micros <= 0:
        return ""
    return "#" * max(1, micros * BAR_CHARS // max(most, micros))


def of_each(limits: Sequence[Limit], known: Iterable[Balance]) -> tuple[Balance, ...]:
    """A balance for each limit; one that nothing was ever counted in is untouched.

    The person's own file decides: a higher cap than the stored one is stored once a job needs it.
    Of a team the lower one counts.
    """
    found = {one.limit.scope: one for one in known}
    return tuple(_balance(limit, found.get(limit.scope)) for limit in limits)


def _balance(limit: Limit, known: Balance | None) -> Balance:
    if known is None:
        return Balance(limit=limit, room_micros=limit.cap_micros, spent_micros=0, open_micros=0)
    counts = limit
    if limit.scope.kind is ScopeKind.TEAM:
        counts = min(limit, known.limit, key=lambda one: one.cap_micros)
    used = known.spent_micros + known.open_micros
    return Balance(
        limit=counts,
        room_micros=counts.cap_micros - used,
        spent_micros=known.spent_micros,
        open_micros=known.open_micros,
    )


def warnings(
    balances: Iterable[Balance], held: Iterable[Reservation], *, now: float
) -> tuple[str, ...]:
    """Limits that are nearly used up, and money that is held back for long; a sentence each."""
    told = [
        f"The limit of this {one.limit.scope.kind} is used up to {used} %: "
        f"{usd(max(0, one.room_micros))} USD are left."
        for one in balances
        if (used := _used_percent(one)) >= _NEAR
    ]
    told += [
        f"{usd(one.order.amount_micros)} USD are held back for {one.order.token} for more than a "
        f"day: look at the job, or end it."
        for one in held
        if now - one.order.at > _LONG_OPEN_S
    ]
    return tuple(told)


def _used_percent(balance: Balance) -> int:
    cap = balance.limit.cap_micros
    used = balance.spent_micros + balance.open_micros
    return used * 100 // cap if cap else 100
