"""This machine and the team: both have to have room.

reserve   local ─► team          a refusal of the team gives the local money back
settle    team  ─► local
release   team  ─► local

What the team's table holds is open in the local ledger, too: that opens first and closes last, so
whoever dies in between leaves an open row here, and the sweep that ends it ends both.
"""

from __future__ import annotations

import os
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeGuard

from mcp_cloud_agents.domain.budget import Unreachable
from mcp_cloud_agents.domain.errors import AgentsError, LedgerUnusable
from mcp_cloud_agents.governance.holding import checked_orders
from mcp_cloud_agents.ports.ledger import (
    Balance,
    Ledger,
    Limit,
    Order,
    OverLimit,
    Reservation,
    ReservationState,
    Reserved,
    Scope,
    ScopeKind,
    Tags,
)
from mcp_cloud_agents.storage.dynamo_table import AnswerLost
from mcp_cloud_agents.storage.files import storage_errors
from mcp_cloud_agents.storage.lock import locked
from mcp_cloud_agents.storage.sqlite_ledger import OF_THE_TEAM, ledger_errors

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_STRIPES = 64
_WAIT_S = 60.0


class LocalLedger(Ledger, Protocol):
    """What the composition needs of this machine's ledger."""

    def replace(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        """Hold these back in place of what their tokens hold now, or change nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """What to do while the team's ledger cannot be reached."""

    when_unreachable: Unreachable
    local_micros: int
    """Most that is reserved on a day of this machine without the team."""


class TeamLedger:
    """`ports.ledger.Ledger` over two others.

    Args:
        local: of this machine; it keeps the team's limits with an order and does not count them.
        team: shared with others.
        offline: see there.
        turns: folder for locks; made when it is missing.
    """

    def __init__(self, local: LocalLedger, team: Ledger, offline: Offline, turns: str) -> None:
        self._local = local
        self._team = team
        self._offline = offline
        self._turns = turns

    def reserve(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        """See the port."""
        tokens = [one.token for one in checked_orders(orders)]
        with self._turn(tokens):
            before = frozenset(one.token for one in self._open_in_both(tokens))
            outcome = self._local.reserve(orders)
            shared = self._open_in_both(tokens)
            if isinstance(outcome, OverLimit) or not shared:
                return outcome
            return self._reserve_in_team(shared, before, outcome)

    def settle(self, token: str, actual_micros: int | None, *, at: float) -> Reservation | None:
        """See the port."""
        with self._turn([token]):
            known = self._local.get(token)
            if _is_shared(known) and known.state is not ReservationState.SETTLED:
                told = self._team.settle(token, actual_micros, at=at)
                if told is not None:  # the same words in both, also when they come a second time
                    actual_micros = told.actual_micros
            return self._local.settle(token, actual_micros, at=at)

    def release(self, token: str, *, at: float) -> Reservation | None:
        """See the port."""
        with self._turn([token]):
            known = self._local.get(token)
            if _is_shared(known) and _is_open(known):
                told = self._team.release(token, at=at)
                if told is not None and told.state is ReservationState.SETTLED:
                    return self._local.settle(token, told.actual_micros, at=at)
            return self._local.release(token, at=at)

    def set_cap(self, limit: Limit) -> Balance:
        """See the port."""
        return self._of(limit.scope).set_cap(limit)

    def get(self, token: str) -> Reservation | None:
        """See the port; what this machine knows."""
        return self._local.get(token)

    def open(self) -> tuple[Reservation, ...]:
        """See the port; what this machine knows."""
        return self._local.open()

    def balances(self, scopes: Sequence[Scope]) -> tuple[Balance, ...]:
        """See the port."""
        found: dict[Scope, Balance] = {}
        for ledger in (self._local, self._team):
            mine = [scope for scope in scopes if self._of(scope) is ledger]
            if mine:
                found |= {one.limit.scope: one for one in ledger.balances(mine)}
        return tuple(found[scope] for scope in scopes if scope in found)

    def ended(self, *, since: float, until: float) -> tuple[Reservation, ...]:
        """See the port; what this machine knows."""
        return self._local.ended(since=since, until=until)

    def past_micros(self, tags: Tags, *, limit: int) -> tuple[int, ...]:
        """See the port; what this machine knows."""
        return self._local.past_micros(tags, limit=limit)

    def latest_at(self) -> float | None:
        """See the port; what this machine knows."""
        return self._local.latest_at()

    def _of(self, scope: Scope) -> Ledger:
        return self._team if scope.kind in OF_THE_TEAM else self._local

    def _open_in_both(self, tokens: Sequence[str]) -> tuple[Order, ...]:
        """What is open here and the team may hold, too."""
        rows = (self._local.get(token) for token in tokens)
        return tuple(one.order for one in rows if _is_shared(one) and _is_open(one))

    def _reserve_in_team(
        self, orders: Sequence[Order], before: frozenset[str], locally: Reserved
    ) -> Reserved | OverLimit:
        """The second step; `before` it, the team may have known of these tokens."""
        try:
            outcome = self._team.reserve([_team_part(one) for one in orders])
        except AnswerLost as exc:
            return self._without_team(orders, frozenset(one.token for one in orders), exc)
        except LedgerUnusable as exc:
            return self._without_team(orders, before, exc)
        except AgentsError:  # more than it takes at once
            self._release_here(orders, before)
            raise
        if isinstance(outcome, OverLimit):
            self._give_back(orders)
            return outcome
        return Reserved(already=locally.already and outcome.already)

    def _give_back(self, orders: Sequence[Order]) -> None:
        """What the team refused, where it does not hold it from an earlier call."""
        for one in orders:
            held = self._team.get(one.token)
            if held is None or held.state is ReservationState.RELEASED:
                self._local.release(one.token, at=one.at)

    def _without_team(
        self, orders: Sequence[Order], unknown: frozenset[str], exc: LedgerUnusable
    ) -> Reserved | OverLimit:
        """Go on alone up to a limit, or refuse.

        Args:
            orders: as they are held here.
            unknown: tokens that the team may hold: their rows stay open and shared, until the
                sweep can ask the team.
            exc: why it cannot be asked now.
        """
        if self._offline.when_unreachable is Unreachable.REFUSE:
            self._release_here(orders, unknown)
            raise exc
        alone = [self._alone(one, shared=one.token in unknown) for one in orders]
        outcome = self._local.replace(alone)
        if isinstance(outcome, OverLimit):
            self._release_here(orders, unknown)
        return outcome

    def _release_here(self, orders: Sequence[Order], unknown: frozenset[str]) -> None:
        for one in orders:
            if one.token not in unknown:
                self._local.release(one.token, at=one.at)

    def _alone(self, order: Order, *, shared: bool) -> Order:
        """The order with a limit of this machine's day in place of the team's, or beside it."""
        day = f"{datetime.fromtimestamp(order.at, UTC):%Y-%m-%d}"
        scope = Scope(kind=ScopeKind.TEAM_OFFLINE, key=day)
        own = Limit(scope=scope, cap_micros=self._offline.local_micros)
        gone = {ScopeKind.TEAM_OFFLINE} if shared else {ScopeKind.TEAM_OFFLINE, *OF_THE_TEAM}
        return replace(order, limits=(*_without(order, frozenset(gone)), own))

    @contextmanager
    def _turn(self, tokens: Sequence[str]) -> Generator[None]:
        """One process of this machine at a time for each token, from the first step to the last."""
        stripes = sorted({zlib.crc32(token.encode()) % _STRIPES for token in tokens})
        with ledger_errors(), storage_errors(self._turns), ExitStack() as held:
            os.makedirs(self._turns, mode=0o700, exist_ok=True)
            for stripe in stripes:
                held.enter_context(locked(os.path.join(self._turns, str(stripe)), wait_s=_WAIT_S))
            yield


def _is_shared(one: Reservation | None) -> TypeGuard[Reservation]:
    """Whether the team counts it, too."""
    limits = () if one is None else one.order.limits
    return any(limit.scope.kind in OF_THE_TEAM for limit in limits)


def _is_open(one: Reservation) -> bool:
    return one.state is ReservationState.OPEN


def _team_part(order: Order) -> Order:
    others = frozenset(ScopeKind) - OF_THE_TEAM
    return replace(order, limits=_without(order, others))


def _without(order: Order, kinds: frozenset[ScopeKind]) -> tuple[Limit, ...]:
    return tuple(limit for limit in order.limits if limit.scope.kind not in kinds)
