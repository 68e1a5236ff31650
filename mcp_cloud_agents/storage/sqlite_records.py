"""The index of jobs in SQLite. The job folders hold the same specs, so it can be rebuilt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import NoSpace, UnknownJob
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.sqlite_file import Layout, SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from mcp_cloud_agents.domain.job import JobId

_VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  key TEXT UNIQUE,
  digest TEXT NOT NULL,
  workspace TEXT NOT NULL,
  backend TEXT NOT NULL,
  created_at REAL NOT NULL,
  spec BLOB NOT NULL
) STRICT;
CREATE INDEX jobs_by_digest ON jobs (digest, created_at);
CREATE INDEX jobs_by_time ON jobs (created_at);
"""
_COLUMNS = "id, key, digest, workspace, backend, created_at, spec"
# The conflict target is left open: the id is fresh, so only the key can clash.
_INSERT = f"INSERT INTO jobs ({_COLUMNS}) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"  # noqa: S608  constants only


class SqliteRecords:
    """`ports.records.Records` over one file.

    Args:
        path: of the database file.
        known: specs that exist without the index (from job folders), to rebuild a damaged one.
    """

    def __init__(self, path: str, known: Callable[[], Iterable[Record]]) -> None:
        self._known = known
        layout = Layout(
            what="job index",
            version=_VERSION,
            schema=_SCHEMA,
            fill=partial(_insert, known),
            replaceable=True,
        )
        self._file = SqliteFile(path, layout)

    def claim(self, record: Record) -> Record:
        """See the port."""

        def work(db: sqlite3.Connection) -> tuple[str, bytes]:
            db.execute(_INSERT, _row(record))
            return db.execute(
                "SELECT backend, spec FROM jobs WHERE id = ? OR (key IS NOT NULL AND key = ?)",
                (record.spec.id, record.spec.key),
            ).fetchone()

        return _record(self._file.write(work))

    def by_key(self, key: str) -> Record | None:
        """See the port."""
        found = self._select("WHERE key = ?", key, like=lambda spec: spec.key == key)
        return found[0] if found else None

    def get(self, job_id: JobId) -> Record:
        """See the port."""
        found = self._select("WHERE id = ?", job_id, like=lambda spec: spec.id == job_id)
        if not found:
            raise UnknownJob(
                f"No job has the id {job_id[:80]!r}.", hint="List the jobs with list_jobs."
            )
        return found[0]

    def latest(self, *, workspace: str | None, limit: int) -> tuple[Record, ...]:
        """See the port."""
        found = self._select(
            "WHERE ?1 IS NULL OR workspace = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2",
            *(workspace, limit),
            like=lambda spec: workspace in (None, spec.snapshot.origin.workspace),
        )
        return found[:limit]

    def forget(self, job_ids: Sequence[JobId]) -> None:
        """See the port."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in job_ids])

        self._file.write(work)

    def same_work(self, digest: str) -> tuple[Record, ...]:
        """See the port."""
        found = self._select(
            "WHERE digest = ? ORDER BY created_at DESC, id DESC LIMIT 20",
            digest,
            like=lambda spec: spec.digest == digest,
        )
        return found[:20]

    def _select(
        self, clauses: str, *values: str | int | None, like: Callable[[JobSpec], bool]
    ) -> tuple[Record, ...]:
        """Records by a query; on a full disk, where SQLite cannot even read, by `like`."""
        query = f"SELECT backend, spec FROM jobs {clauses}"  # noqa: S608  constants only

        def work(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
            return db.execute(query, values).fetchall()

        try:
            return tuple(map(_record, self._file.read(work)))
        except NoSpace:
            found = [record for record in self._known() if like(record.spec)]
            return tuple(sorted(found, key=_age, reverse=True))


def _insert(known: Callable[[], Iterable[Record]], db: sqlite3.Connection) -> None:
    db.executemany(_INSERT, map(_row, known()))


def _row(record: Record) -> tuple[str, str | None, str, str, str, float, bytes]:
    spec = record.spec
    workspace = spec.snapshot.origin.workspace
    data = msgspec.json.encode(spec)
    return spec.id, spec.key, spec.digest, workspace, record.backend, spec.created_at, data


def _record(row: tuple[str, bytes]) -> Record:
    return Record(backend=row[0], spec=msgspec.json.decode(row[1], type=JobSpec))


def _age(record: Record) -> tuple[float, str]:
    return record.spec.created_at, record.spec.id
