"""The ledger out of the audit: entries in, reservations and balances out. Pure.

What is allowed, asked or approved is written with the order that holds its money (`details_of`),
so a ledger that was damaged is made again from what was written down (`rebuilt`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.governance.holding import held_micros, released, settled
from mcp_cloud_agents.ports.audit import Action
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mcp_cloud_agents.ports.audit import Entry

_HELD = frozenset({Action.ALLOWED, Action.ASKED, Action.APPROVED})
_GIVEN_BACK = frozenset({Action.RELEASED, Action.DENIED, Action.DECLINED, Action.EXPIRED})
_Rows = list[tuple[ScopeKind, str, int]]
Details = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What the audit knows of money."""

    reservations: tuple[Reservation, ...]
    """In the order in which they were made."""
    unreadable: tuple[str, ...] = ()
    """Ids of jobs that something is written of which this version cannot read."""


def details_of(order: Order) -> Details:
    """What an entry has to say of an order besides its own fields; for `Entry.details`."""
    rows = [(one.scope.kind, one.scope.key, one.cap_micros) for one in order.limits]
    return (
        ("limits", msgspec.json.encode(rows).decode()),
        ("at", repr(order.at)),
        ("expires_at", repr(order.expires_at)),
        ("model", order.tags.model),
    )


def order_of(entry: Entry) -> Order | None:
    """The order that an entry was written with; None: with none.

    Raises:
        ValueError: what is written there cannot be one.
    """
    details = dict(entry.details)
    if entry.worst_micros is None or "limits" not in details:
        return None
    rows = msgspec.json.decode(details["limits"], type=_Rows)
    return Order(
        token=entry.job_id,
        amount_micros=entry.worst_micros,
        limits=tuple(
            Limit(scope=Scope(kind=kind, key=key), cap_micros=cap) for kind, key, cap in rows
        ),
        at=float(details.get("at", entry.at)),
        expires_at=float(details.get("expires_at", entry.at)),
        tags=Tags(
            agent=entry.agent,
            backend=entry.backend,
            workspace=entry.workspace,
            model=details.get("model", ""),
        ),
    )


def rebuilt(entries: Iterable[Entry]) -> Rebuilt:
    """Every reservation that the entries tell of.

    Args:
        entries: of the whole audit, oldest first; those of other things are skipped.
    """
    found: dict[str, Reservation] = {}
    unreadable: dict[str, None] = {}
    for entry in entries:
        try:
            _fold(found, entry)
        except ValueError:  # msgspec's are, too
            unreadable[entry.job_id] = None
    return Rebuilt(reservations=tuple(found.values()), unreadable=tuple(unreadable))


def _fold(found: dict[str, Reservation], entry: Entry) -> None:
    known = found.get(entry.job_id)
    if entry.action in _HELD:
        order = order_of(entry)
        if order is not None and (known is None or known.state is ReservationState.RELEASED):
            found[order.token] = Reservation(order=order, state=ReservationState.OPEN)
    elif known is None or known.state is ReservationState.SETTLED:
        return
    elif entry.action is Action.SETTLED:
        found[entry.job_id] = settled(known, entry.actual_micros, entry.at)
    elif entry.action in _GIVEN_BACK:
        found[entry.job_id] = released(known, entry.at)


def balances_of(reservations: Iterable[Reservation]) -> Iterator[Balance]:
    """Of every scope that is named, under the cap that the newest order names for it."""
    caps: dict[Scope, int] = {}
    spent: dict[Scope, int] = {}
    held: dict[Scope, int] = {}
    for one in sorted(reservations, key=lambda each: each.order.at):
        for limit in one.order.limits:
            scope = limit.scope
            caps[scope] = limit.cap_micros
            spent[scope] = spent.get(scope, 0) + one.actual_micros
            held[scope] = held.get(scope, 0) + held_micros(one)
    for scope, cap in caps.items():
        yield Balance(
            limit=Limit(scope=scope, cap_micros=cap),
            room_micros=cap - spent[scope] - held[scope],
            spent_micros=spent[scope],
            open_micros=held[scope],
        )
