"""The tables of the ledger, and what is read from them and written to them.

scopes        one row a limit; SQLite itself refuses a row that does not add up
reservations  one row a token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.ports.ledger import (
    Balance,
    Limit,
    Order,
    Reservation,
    ReservationState,
    Scope,
    Tags,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

VERSION = 1
SCHEMA = """
CREATE TABLE scopes (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  cap INTEGER NOT NULL,
  room INTEGER NOT NULL,
  spent INTEGER NOT NULL,
  open INTEGER NOT NULL CHECK (open >= 0),
  PRIMARY KEY (kind, key),
  CHECK (cap = room + spent + open)
) STRICT;
CREATE TABLE reservations (
  token TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  at REAL NOT NULL,
  ended_at REAL,
  actual INTEGER NOT NULL,
  agent TEXT NOT NULL,
  backend TEXT NOT NULL,
  workspace TEXT NOT NULL,
  model TEXT NOT NULL,
  order_json BLOB NOT NULL
) STRICT;
CREATE INDEX reservations_by_time ON reservations (at);
CREATE INDEX reservations_open ON reservations (at) WHERE state = 'open';
CREATE INDEX reservations_by_end ON reservations (ended_at) WHERE state = 'settled';
CREATE INDEX reservations_by_tags ON reservations (agent, backend, workspace, model, ended_at)
  WHERE state = 'settled';
"""
_SELECT = "SELECT state, actual, ended_at, order_json FROM reservations"
_Row = tuple[str, int, float | None, bytes]


def balances(db: sqlite3.Connection, scopes: Sequence[Scope]) -> dict[Scope, Balance]:
    """Those of them that are stored."""
    found: dict[Scope, Balance] = {}
    for scope in scopes:
        row = db.execute(
            "SELECT cap, room, spent, open FROM scopes WHERE kind = ? AND key = ?",
            (scope.kind, scope.key),
        ).fetchone()
        if row is not None:
            cap, room, spent, held = row
            found[scope] = Balance(
                limit=Limit(scope=scope, cap_micros=cap),
                room_micros=room,
                spent_micros=spent,
                open_micros=held,
            )
    return found


def put_new(db: sqlite3.Connection, balance: Balance) -> None:
    """Store a balance, unless its scope has one."""
    scope = balance.limit.scope
    db.execute(
        "INSERT INTO scopes (kind, key, cap, room, spent, open) VALUES (?,?,?,?,?,?) "
        "ON CONFLICT DO NOTHING",
        (
            *(scope.kind, scope.key, balance.limit.cap_micros),
            *(balance.room_micros, balance.spent_micros, balance.open_micros),
        ),
    )


def put_cap(db: sqlite3.Connection, limit: Limit) -> None:
    """Another cap for a scope that is stored; the difference is room."""
    db.execute(
        "UPDATE scopes SET room = room + ?1 - cap, cap = ?1 WHERE kind = ?2 AND key = ?3",
        (limit.cap_micros, limit.scope.kind, limit.scope.key),
    )


def move(db: sqlite3.Connection, scope: Scope, *, held: int, spent: int = 0) -> None:
    """Out of the room of a scope into what is held and what is spent; negative: back again."""
    db.execute(
        "UPDATE scopes SET room = room - ?1 - ?2, open = open + ?1, spent = spent + ?2 "
        "WHERE kind = ?3 AND key = ?4",
        (held, spent, scope.kind, scope.key),
    )


def put(db: sqlite3.Connection, one: Reservation) -> None:
    """Store a reservation in place of the one of the same token."""
    order, tags = one.order, one.order.tags
    db.execute(
        "INSERT OR REPLACE INTO reservations VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            *(order.token, one.state, order.at, one.ended_at, one.actual_micros),
            *(tags.agent, tags.backend, tags.workspace, tags.model),
            msgspec.json.encode(order),
        ),
    )


def reservations(db: sqlite3.Connection, tokens: Sequence[str]) -> dict[str, Reservation]:
    """Those of them that are stored."""
    found: dict[str, Reservation] = {}
    for token in tokens:
        if (row := db.execute(f"{_SELECT} WHERE token = ?", (token,)).fetchone()) is not None:
            found[token] = _reservation(row)
    return found


def open_ones(db: sqlite3.Connection) -> tuple[Reservation, ...]:
    """Oldest first."""
    found = db.execute(f"{_SELECT} WHERE state = 'open' ORDER BY at, token")
    return tuple(map(_reservation, found))


def ended(db: sqlite3.Connection, since: float, until: float) -> tuple[Reservation, ...]:
    """Settled ones by their end, oldest first; `until` is the first moment that is too late."""
    found = db.execute(
        f"{_SELECT} WHERE state = 'settled' AND ended_at >= ? AND ended_at < ? "
        "ORDER BY ended_at, token",
        (since, until),
    )
    return tuple(map(_reservation, found))


def past_micros(db: sqlite3.Connection, tags: Tags, limit: int) -> tuple[int, ...]:
    """Costs of settled ones, the newest first."""
    found = db.execute(
        "SELECT actual FROM reservations WHERE state = 'settled' AND agent = ? AND backend = ? "
        "AND workspace = ? AND model = ? ORDER BY ended_at DESC, token DESC LIMIT ?",
        (tags.agent, tags.backend, tags.workspace, tags.model, limit),
    )
    return tuple(actual for (actual,) in found)


def latest_at(db: sqlite3.Connection) -> float | None:
    """The highest time of an order."""
    (found,) = db.execute("SELECT max(at) FROM reservations").fetchone()
    return found


def _reservation(row: _Row) -> Reservation:
    state, actual, ended_at, order = row
    return Reservation(
        order=msgspec.json.decode(order, type=Order),
        state=ReservationState(state),
        actual_micros=actual,
        ended_at=ended_at,
    )
