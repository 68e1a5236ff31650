"""Holding money back: what orders ask of each limit, and what an end of theirs changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.ports.ledger import (
    Balance,
    Limit,
    Order,
    OverLimit,
    Reservation,
    ReservationState,
    Scope,
    ScopeKind,
    checked_micros,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NARROWEST_FIRST = {kind: number for number, kind in enumerate(ScopeKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked of one scope."""

    scope: Scope
    needed_micros: int
    cap_micros: int
    """The lowest that any of the orders names."""

    def under(self, stored: Balance | None) -> Balance:
        """What decides: the stored balance under the lower one of both caps; None: a new scope."""
        if stored is None:
            return new_balance(Limit(scope=self.scope, cap_micros=self.cap_micros))
        cap = min(stored.limit.cap_micros, self.cap_micros)
        return Balance(
            limit=Limit(scope=self.scope, cap_micros=cap),
            room_micros=stored.room_micros - (stored.limit.cap_micros - cap),
            spent_micros=stored.spent_micros,
            open_micros=stored.open_micros,
        )


def new_balance(limit: Limit) -> Balance:
    """Of a scope that nothing was spent in yet."""
    return Balance(limit=limit, room_micros=limit.cap_micros, spent_micros=0, open_micros=0)


def checked_orders(orders: Iterable[Order]) -> tuple[Order, ...]:
    """The orders. Raises ValueError: two of them have the same token."""
    found = tuple(orders)
    if len({one.token for one in found}) < len(found):
        raise ValueError("two orders have the same token")
    return found


def fresh(orders: Iterable[Order], stored: Mapping[str, Reservation]) -> tuple[Order, ...]:
    """Those whose money is not held back yet, and not spent.

    Args:
        orders: what is wanted.
        stored: what is known of their tokens.
    """
    return tuple(
        one
        for one in orders
        if one.token not in stored or stored[one.token].state is ReservationState.RELEASED
    )


def demands(orders: Iterable[Order]) -> tuple[Demand, ...]:
    """One for each scope, the narrowest first."""
    needed: dict[Scope, int] = {}
    caps: dict[Scope, int] = {}
    for order in orders:
        for limit in order.limits:
            scope = limit.scope
            needed[scope] = needed.get(scope, 0) + order.amount_micros
            caps[scope] = min(caps.get(scope, limit.cap_micros), limit.cap_micros)
    found = (
        Demand(scope=scope, needed_micros=sum_, cap_micros=caps[scope])
        for scope, sum_ in needed.items()
    )
    return tuple(sorted(found, key=lambda one: _NARROWEST_FIRST[one.scope.kind]))


def refusal(wanted: Sequence[Demand], known: Mapping[Scope, Balance]) -> OverLimit | None:
    """The first demand that there is no room for; None: there is room for all.

    Args:
        wanted: the narrowest first.
        known: balances of the scopes that are stored.
    """
    for demand in wanted:
        balance = demand.under(known.get(demand.scope))
        if demand.needed_micros > balance.room_micros:
            return OverLimit(balance=balance, needed_micros=demand.needed_micros)
    return None


def settled(reservation: Reservation, actual_micros: int | None, at: float) -> Reservation:
    """The same once its cost is known; None: nobody knows, so all of it counts as spent.

    Raises:
        ValueError: the sum makes no sense.
    """
    actual = reservation.order.amount_micros if actual_micros is None else actual_micros
    return replace(
        reservation,
        state=ReservationState.SETTLED,
        actual_micros=checked_micros(actual),
        ended_at=at,
    )


def held_micros(reservation: Reservation) -> int:
    """What a reservation holds back now."""
    is_open = reservation.state is ReservationState.OPEN
    return reservation.order.amount_micros if is_open else 0


def released(reservation: Reservation, at: float) -> Reservation:
    """The same once its money is given back."""
    return replace(reservation, state=ReservationState.RELEASED, ended_at=at)
