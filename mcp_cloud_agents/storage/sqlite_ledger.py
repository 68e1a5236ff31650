"""The ledger of this machine in SQLite: one transaction for all that belongs together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.errors import (
    AuditUnusable,
    BackendFailed,
    LedgerUnusable,
    NoSpace,
    StateUnusable,
)
from mcp_cloud_agents.governance.holding import (
    checked_orders,
    demands,
    fresh,
    held_micros,
    new_balance,
    refusal,
    released,
    settled,
)
from mcp_cloud_agents.governance.ledger_rebuild import balances_of, rebuilt
from mcp_cloud_agents.ports.ledger import (
    Balance,
    Limit,
    Order,
    OverLimit,
    Reservation,
    ReservationState,
    Reserved,
    Scope,
    ScopeKind,
    Tags,
    checked_micros,
)
from mcp_cloud_agents.storage import ledger_rows as rows
from mcp_cloud_agents.storage.sqlite_file import Damaged, Layout, SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator, Iterable, Sequence

    from mcp_cloud_agents.governance.ledger_rebuild import Rebuilt
    from mcp_cloud_agents.ports.audit import Entry

T = TypeVar("T")
OF_THE_TEAM = frozenset({ScopeKind.TEAM})
_RECOVER = (
    "Let a person run `mcp-cloud-agents costs --recover`: it puts the file aside and makes a new "
    "one from the audit. Until then nothing that costs is started."
)


class SqliteLedger:
    """`ports.ledger.Ledger` over one file.

    Args:
        path: of the database file.
        known: the audit's entries, oldest first: a file that is missing is made from them.
        elsewhere: kinds of limits that another ledger counts; orders are kept with them.
    """

    def __init__(
        self,
        path: str,
        known: Callable[[], Iterable[Entry]] = lambda: (),
        *,
        elsewhere: frozenset[ScopeKind] = OF_THE_TEAM,
    ) -> None:
        self._path = path
        self._elsewhere = elsewhere
        layout = Layout(
            what="ledger",
            version=rows.VERSION,
            schema=rows.SCHEMA,
            fill=lambda db: self._fill(db, rebuilt(known())),
        )
        self._file = SqliteFile(path, layout)

    def reserve(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        """See the port."""
        wanted = checked_orders(orders)
        return self._write(lambda db: self._hold(db, wanted))

    def replace(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        """Hold these back in place of what their tokens hold now, or change nothing."""
        wanted = checked_orders(orders)

        def work(db: sqlite3.Connection) -> Reserved | OverLimit:
            db.execute("SAVEPOINT before")
            for order in wanted:
                self._release(db, order.token, order.at)
            outcome = self._hold(db, wanted)
            if isinstance(outcome, OverLimit):
                db.execute("ROLLBACK TO before")
            return outcome

        return self._write(work)

    def settle(self, token: str, actual_micros: int | None, *, at: float) -> Reservation | None:
        """See the port."""
        if actual_micros is not None:
            checked_micros(actual_micros)
        return self._write(lambda db: self._settle(db, token, actual_micros, at))

    def release(self, token: str, *, at: float) -> Reservation | None:
        """See the port."""
        return self._write(lambda db: self._release(db, token, at))

    def set_cap(self, limit: Limit) -> Balance:
        """See the port."""

        def work(db: sqlite3.Connection) -> Balance:
            rows.put_new(db, new_balance(limit))
            rows.put_cap(db, limit)
            return rows.balances(db, [limit.scope])[limit.scope]

        return self._write(work)

    def get(self, token: str) -> Reservation | None:
        """See the port."""
        return self._read(lambda db: rows.reservations(db, [token])).get(token)

    def open(self) -> tuple[Reservation, ...]:
        """See the port."""
        return self._read(rows.open_ones)

    def balances(self, scopes: Sequence[Scope]) -> tuple[Balance, ...]:
        """See the port."""
        found = self._read(lambda db: rows.balances(db, scopes))
        return tuple(found[scope] for scope in scopes if scope in found)

    def ended(self, *, since: float, until: float) -> tuple[Reservation, ...]:
        """See the port."""
        return self._read(lambda db: rows.ended(db, since, until))

    def past_micros(self, tags: Tags, *, limit: int) -> tuple[int, ...]:
        """See the port."""
        return self._read(lambda db: rows.past_micros(db, tags, limit))

    def latest_at(self) -> float | None:
        """See the port."""
        return self._read(rows.latest_at)

    def recover(self, entries: Iterable[Entry]) -> tuple[Rebuilt, str]:
        """Put the file aside, and make a new one from the audit's entries, oldest first.

        Returns:
            What the audit knew, and the new name of the old file (empty: there was none).
        """
        found = rebuilt(entries)
        with ledger_errors():
            return found, self._file.remake(lambda db: self._fill(db, found))

    def _hold(self, db: sqlite3.Connection, orders: Sequence[Order]) -> Reserved | OverLimit:
        wanted = fresh(orders, rows.reservations(db, [one.token for one in orders]))
        asked = [one for one in demands(wanted) if one.scope.kind not in self._elsewhere]
        known = rows.balances(db, [one.scope for one in asked])
        if (refused := refusal(asked, known)) is not None:
            return refused
        for demand in asked:
            rows.put_new(db, demand.under(None))
            rows.move(db, demand.scope, held=demand.needed_micros)
        for order in wanted:
            rows.put(db, Reservation(order=order, state=ReservationState.OPEN))
        return Reserved(already=bool(orders) and not wanted)

    def _settle(
        self, db: sqlite3.Connection, token: str, actual_micros: int | None, at: float
    ) -> Reservation | None:
        known = rows.reservations(db, [token]).get(token)
        if known is None or known.state is ReservationState.SETTLED:
            return known
        return self._end(db, known, settled(known, actual_micros, at))

    def _release(self, db: sqlite3.Connection, token: str, at: float) -> Reservation | None:
        known = rows.reservations(db, [token]).get(token)
        if known is None or known.state is not ReservationState.OPEN:
            return known
        return self._end(db, known, released(known, at))

    def _end(self, db: sqlite3.Connection, was: Reservation, now: Reservation) -> Reservation:
        for limit in was.order.limits:
            if limit.scope.kind not in self._elsewhere:
                held, spent = -held_micros(was), now.actual_micros
                rows.move(db, limit.scope, held=held, spent=spent)
        rows.put(db, now)
        return now

    def _fill(self, db: sqlite3.Connection, found: Rebuilt) -> None:
        for balance in balances_of(found.reservations):
            if balance.limit.scope.kind not in self._elsewhere:
                rows.put_new(db, balance)
        for one in found.reservations:
            rows.put(db, one)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with ledger_errors():
            return self._file.read(work)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with ledger_errors():
            return self._file.write(work)


@contextmanager
def ledger_errors() -> Generator[None]:
    """Translate what goes wrong with the file.

    Raises:
        LedgerUnusable: with what to do next.
    """
    try:
        yield
    except Damaged as exc:
        raise LedgerUnusable(exc.message, hint=_RECOVER) from exc
    except (StateUnusable, NoSpace, AuditUnusable, BackendFailed) as exc:
        raise LedgerUnusable(exc.message, hint=exc.hint) from exc
