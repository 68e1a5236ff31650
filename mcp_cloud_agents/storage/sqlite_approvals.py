"""Questions to a person, their answers, and grants, in SQLite."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.governance.approval import covers
from mcp_cloud_agents.ports.approvals import Answer, Grant, Question
from mcp_cloud_agents.storage.sqlite_file import Layout, SqliteFile

if TYPE_CHECKING:
    import sqlite3

    from mcp_cloud_agents.domain.job import JobId

_SCHEMA = """
CREATE TABLE questions (
  job_id TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  asked_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  answer TEXT NOT NULL,
  question BLOB NOT NULL
) STRICT;
CREATE INDEX questions_by_answer ON questions (answer, expires_at);
CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  until REAL NOT NULL,
  data BLOB NOT NULL
) STRICT;
CREATE TABLE uses (
  job_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  PRIMARY KEY (job_id, digest)
) STRICT;
"""
_LAYOUT = Layout(what="list of approvals", version=1, schema=_SCHEMA)
_ONE = "SELECT question FROM questions WHERE job_id = ?"
_WAITING = (
    "SELECT question FROM questions WHERE answer = 'waiting' AND expires_at > ? "
    "ORDER BY asked_at, job_id"
)
_HOLDING = "SELECT data FROM grants WHERE until > ? ORDER BY until, id"


class SqliteApprovals:
    """`ports.approvals.Approvals` over one file.

    Args:
        path: of the database file. A damaged one stays as it is: what people agreed to cannot be
            made anew.
    """

    def __init__(self, path: str) -> None:
        self._file = SqliteFile(path, _LAYOUT)

    def ask(self, question: Question) -> Question:
        """See the port."""

        def work(db: sqlite3.Connection) -> Question:
            if (known := _question(db, question.job_id)) is not None:
                return known
            db.execute("INSERT INTO questions VALUES (?,?,?,?,?,?)", _row(question))
            return question

        return self._file.write(work)

    def get(self, job_id: JobId, *, now: float) -> Question | None:
        """See the port."""
        found = self._file.read(lambda db: _question(db, job_id))
        return None if found is None else _at(found, now)

    def waiting(self, *, now: float) -> tuple[Question, ...]:
        """See the port."""
        rows = self._file.read(lambda db: db.execute(_WAITING, (now,)).fetchall())
        return tuple(msgspec.json.decode(data, type=Question) for (data,) in rows)

    def answer(
        self, job_id: JobId, digest: str, answer: Answer, *, by: str, why: str, now: float
    ) -> Question | None:
        """See the port."""

        def work(db: sqlite3.Connection) -> Question | None:
            stored = _question(db, job_id)
            if stored is None or stored.digest != digest:
                return None
            found = _at(stored, now)
            if found.answer is not Answer.WAITING or answer not in _ANSWERS:
                return found
            said = replace(found, answer=answer, answered_at=now, answered_by=by, why=why)
            return _put(db, said)

        return self._file.write(work)

    def withdraw(self, job_id: JobId, *, by: str, why: str, now: float) -> Question | None:
        """See the port."""

        def work(db: sqlite3.Connection) -> Question | None:
            stored = _question(db, job_id)
            if stored is None or stored.answer is not Answer.APPROVED:
                return None if stored is None else _at(stored, now)
            no = replace(stored, answer=Answer.DENIED, answered_at=now, answered_by=by, why=why)
            return _put(db, no)

        return self._file.write(work)

    def grant(self, grant: Grant) -> None:
        """See the port."""
        row = (grant.id, grant.until, msgspec.json.encode(grant))
        self._file.write(lambda db: db.execute("INSERT INTO grants VALUES (?,?,?)", row))

    def grants(self, *, now: float) -> tuple[Grant, ...]:
        """See the port."""
        return self._file.read(lambda db: _holding(db, now))

    def revoke(self, grant_id: str) -> bool:
        """See the port."""

        def work(db: sqlite3.Connection) -> bool:
            return db.execute("DELETE FROM grants WHERE id = ?", (grant_id,)).rowcount > 0

        return self._file.write(work)

    def use_grant(self, question: Question, *, now: float) -> Grant | None:
        """See the port. A job that used a grant before uses the same one, and nothing more of it.

        So a call that is repeated after a crash takes the money out once.
        """

        def work(db: sqlite3.Connection) -> Grant | None:
            holding = _holding(db, now)
            if (used := _used(db, question)) is not None:
                return next((one for one in holding if one.id == used), None)
            found = next((one for one in holding if covers(one, question, now=now)), None)
            return None if found is None else _taken(db, found, question)

        return self._file.write(work)


_ANSWERS = frozenset({Answer.APPROVED, Answer.DENIED})
"""What a person can say; the clock says the rest."""


def _at(question: Question, now: float) -> Question:
    over = question.answer is Answer.WAITING and now >= question.expires_at
    return replace(question, answer=Answer.EXPIRED) if over else question


def _question(db: sqlite3.Connection, job_id: JobId) -> Question | None:
    row = db.execute(_ONE, (job_id,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Question)


def _put(db: sqlite3.Connection, question: Question) -> Question:
    db.execute("REPLACE INTO questions VALUES (?,?,?,?,?,?)", _row(question))
    return question


def _row(question: Question) -> tuple[str, str, float, float, str, bytes]:
    data = msgspec.json.encode(question)
    times = (question.asked_at, question.expires_at)
    return question.job_id, question.digest, *times, str(question.answer), data


def _holding(db: sqlite3.Connection, now: float) -> tuple[Grant, ...]:
    """Grants in the order they end, so that what is soon lost is used first."""
    rows = db.execute(_HOLDING, (now,)).fetchall()
    return tuple(msgspec.json.decode(data, type=Grant) for (data,) in rows)


def _used(db: sqlite3.Connection, question: Question) -> str | None:
    key = (question.job_id, question.digest)
    row = db.execute("SELECT grant_id FROM uses WHERE job_id = ? AND digest = ?", key).fetchone()
    return None if row is None else row[0]


def _taken(db: sqlite3.Connection, grant: Grant, question: Question) -> Grant:
    left = replace(grant, left_micros=grant.left_micros - question.facts.worst_micros)
    db.execute("UPDATE grants SET data = ? WHERE id = ?", (msgspec.json.encode(left), left.id))
    db.execute("INSERT INTO uses VALUES (?,?,?)", (question.job_id, question.digest, left.id))
    return left
