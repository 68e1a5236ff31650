"""The ledger of a team in one table of DynamoDB: every change is one transaction.

Conditions of DynamoDB know no arithmetic, so the rows are read first, what is wanted is worked
out, and the transaction only holds if they are still as they were read; else all is read again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.errors import InvalidArgument, LedgerUnusable
from mcp_cloud_agents.governance.holding import (
    Demand,
    checked_orders,
    demands,
    fresh,
    held_micros,
    new_balance,
    refusal,
    released,
    settled,
)
from mcp_cloud_agents.ports.ledger import (
    Balance,
    Limit,
    Order,
    OverLimit,
    Reservation,
    ReservationState,
    Reserved,
    Scope,
    Tags,
    checked_micros,
)
from mcp_cloud_agents.storage import dynamo_items as items
from mcp_cloud_agents.storage.dynamo_table import AnswerLost, Cancelled, Json, Table, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
_MOST_ITEMS = 100
"""Of one transaction (Amazon DynamoDB developer guide, TransactWriteItems)."""


class DynamoLedger:
    """`ports.ledger.Ledger` over one table, whose key is the text `pk` alone.

    What looks through all reservations (`open`, `ended`, `past_micros`, `latest_at`) reads the
    whole table: it is for reports, not for each job.

    Args:
        table: see its protocol.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def reserve(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        """See the port; at most as many orders at once as one transaction takes."""
        wanted = checked_orders(orders)
        return self._until_done(lambda: self._reserve(wanted))

    def settle(self, token: str, actual_micros: int | None, *, at: float) -> Reservation | None:
        """See the port."""
        if actual_micros is not None:
            checked_micros(actual_micros)

        def attempt() -> Reservation | None:
            known = self._reservations([token]).get(token)
            if known is None or known.state is ReservationState.SETTLED:
                return known
            return self._end(known, settled(known, actual_micros, at))

        return self._until_done(attempt)

    def release(self, token: str, *, at: float) -> Reservation | None:
        """See the port."""

        def attempt() -> Reservation | None:
            known = self._reservations([token]).get(token)
            if known is None or known.state is not ReservationState.OPEN:
                return known
            return self._end(known, released(known, at))

        return self._until_done(attempt)

    def set_cap(self, limit: Limit) -> Balance:
        """See the port."""

        def attempt() -> None:
            known = self._balances([limit.scope]).get(limit.scope)
            if known is None:
                self._table.write([items.create_balance(new_balance(limit))])
            else:
                self._table.write([items.change_cap(known, limit.cap_micros)])

        self._until_done(attempt)
        (balance,) = self.balances([limit.scope])
        return balance

    def get(self, token: str) -> Reservation | None:
        """See the port."""
        return self._until_done(lambda: self._reservations([token]).get(token))

    def open(self) -> tuple[Reservation, ...]:
        """See the port."""
        found = self._scan(items.in_state(ReservationState.OPEN))
        return tuple(sorted(found, key=lambda one: (one.order.at, one.order.token)))

    def balances(self, scopes: Sequence[Scope]) -> tuple[Balance, ...]:
        """See the port."""
        found = self._until_done(lambda: self._balances(scopes))
        return tuple(found[scope] for scope in scopes if scope in found)

    def ended(self, *, since: float, until: float) -> tuple[Reservation, ...]:
        """See the port."""
        between = " AND ended_at >= :since AND ended_at < :until"
        times = {":since": items.number(since), ":until": items.number(until)}
        return self._settled(items.in_state(ReservationState.SETTLED, between, times))

    def past_micros(self, tags: Tags, *, limit: int) -> tuple[int, ...]:
        """See the port."""
        found = self._settled(items.in_state(ReservationState.SETTLED))
        mine = [one.actual_micros for one in found if one.order.tags == tags]
        return tuple(mine[::-1][:limit])

    def latest_at(self) -> float | None:
        """See the port."""
        found = self._scan(items.of_any_state())
        return max((one.order.at for one in found), default=None)

    def _reserve(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        stored = self._reservations([one.token for one in orders])
        wanted = fresh(orders, stored)
        asked = demands(wanted)
        if not wanted:
            return Reserved(already=bool(orders))
        if len(wanted) + len(asked) > _MOST_ITEMS:
            raise InvalidArgument(
                f"{len(wanted)} jobs with {len(asked)} limits are more than the team's table "
                f"{self._table.name} takes at once ({_MOST_ITEMS} together).",
                hint="Start fewer jobs at once.",
            )
        known = self._balances([one.scope for one in asked])
        if (refused := refusal(asked, known)) is not None:
            return refused
        rows = (Reservation(order=one, state=ReservationState.OPEN) for one in wanted)
        changes = [items.put(one, stored.get(one.order.token)) for one in rows]
        self._table.write([*changes, *(_held(one, known) for one in asked)])
        return Reserved()

    def _end(self, was: Reservation, now: Reservation) -> Reservation:
        held, spent = -held_micros(was), now.actual_micros
        scopes = [one.scope for one in was.order.limits]
        moves = [items.move(scope, held=held, spent=spent) for scope in scopes]
        self._table.write([items.put(now, was), *moves])
        return now

    def _until_done(self, attempt: Callable[[], T]) -> T:
        """Again while others change the same rows, and to see what came of a lost answer."""
        reasons: tuple[str, ...] = ()
        lost: AnswerLost | None = None
        for _ in turns():
            try:
                return attempt()
            except Cancelled as exc:
                reasons = exc.reasons
            except AnswerLost as exc:
                lost = exc
            except LedgerUnusable as exc:
                raise lost or exc from exc
        raise lost or LedgerUnusable(
            f"The team's table {self._table.name} did not take a change: {', '.join(reasons)}.",
            hint="Many jobs start at once, or its rows were damaged: try again in a minute.",
        )

    def _reservations(self, tokens: Sequence[str]) -> dict[str, Reservation]:
        found = items.reservations(self._rows(map(items.token_key, tokens)))
        return {one.order.token: one for one in found}

    def _balances(self, scopes: Sequence[Scope]) -> dict[Scope, Balance]:
        return items.balances(self._rows(map(items.scope_key, dict.fromkeys(scopes))))

    def _rows(self, keys: Iterable[Json]) -> list[Json]:
        wanted = list(keys)
        pages = [wanted[at : at + _MOST_ITEMS] for at in range(0, len(wanted), _MOST_ITEMS)]
        return [row for page in pages for row in self._table.get(page)]

    def _settled(self, asked: Json) -> tuple[Reservation, ...]:
        """Oldest end first."""
        return tuple(
            sorted(self._scan(asked), key=lambda one: (one.ended_at or 0.0, one.order.token))
        )

    def _scan(self, asked: Json) -> tuple[Reservation, ...]:
        return self._until_done(lambda: items.reservations(self._table.scan(**asked)))


def _held(demand: Demand, known: Mapping[Scope, Balance]) -> Json:
    """The change of a scope for what is asked of it."""
    needed, stored = demand.needed_micros, known.get(demand.scope)
    if stored is None:
        new = demand.under(None)
        room = new.room_micros - needed
        return items.create_balance(replace(new, room_micros=room, open_micros=needed))
    floor = needed + stored.limit.cap_micros - demand.under(stored).limit.cap_micros
    return items.hold(stored, needed, floor)
