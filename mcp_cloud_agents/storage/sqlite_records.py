"""The index of jobs in SQLite. The job folders hold the same specs, so it can be rebuilt."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from mcp_cloud_agents.domain.errors import NoSpace, StateUnusable, UnknownJob
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.files import storage_errors
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from mcp_cloud_agents.domain.job import JobId

T = TypeVar("T")
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
_BUSY_S = 10.0
_WAL_INDEX_BYTES = 32_768
_COLUMNS = "id, key, digest, workspace, backend, created_at, spec"
# The conflict target is left open: the id is fresh, so only the key can clash.
_INSERT = f"INSERT INTO jobs ({_COLUMNS}) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"  # noqa: S608  constants only


class SqliteRecords:
    """`ports.records.Records` over one file; a connection per call, so any thread may call.

    Args:
        path: of the database file.
        known: specs that exist without the index (from job folders), to rebuild a damaged one.
    """

    def __init__(self, path: str, known: Callable[[], Iterable[Record]]) -> None:
        self._path = path
        self._known = known
        self._ready = False
        self._opening = threading.Lock()

    def claim(self, record: Record) -> Record:
        """See the port."""

        def work(db: sqlite3.Connection) -> tuple[str, bytes]:
            with db:
                db.execute(_INSERT, _row(record))
            return db.execute(
                "SELECT backend, spec FROM jobs WHERE id = ? OR (key IS NOT NULL AND key = ?)",
                (record.spec.id, record.spec.key),
            ).fetchone()

        return _record(self._on_database(work))

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
            with db:
                db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in job_ids])

        self._on_database(work)

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
            return tuple(map(_record, self._on_database(work)))
        except NoSpace:
            found = [record for record in self._known() if like(record.spec)]
            return tuple(sorted(found, key=_age, reverse=True))

    def _on_database(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work; a file that was damaged since the last look is replaced first."""
        with _sqlite_errors(self._path):
            try:
                return self._attempt(work)
            except sqlite3.DatabaseError as exc:
                if not _damaged(exc):
                    raise
                self._ready = False
                return self._attempt(work)

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._prepare()
        db = self._connect()
        try:
            return work(db)
        finally:
            db.close()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_BUSY_S)
        db.execute("PRAGMA synchronous = FULL")
        return db

    def _prepare(self) -> None:
        """Make or mend the file, one process at a time; nothing when it is in use already."""
        with self._opening:
            if self._ready and os.path.exists(self._path):
                return
            with storage_errors(self._path), locked(f"{self._path}.lock", wait_s=_BUSY_S):
                self._create_or_replace()
            self._ready = True

    def _create_or_replace(self) -> None:
        """A damaged file is put aside and the index rebuilt from the job folders.

        The file is made here because SQLite's own would be readable for everybody; what it puts
        beside it gets the same mode.
        """
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._create()
        except sqlite3.DatabaseError as exc:
            if not _damaged(exc):
                raise
            os.rename(self._path, f"{self._path}.damaged-{time.time_ns()}")
            self._create()

    def _create(self) -> None:
        """Make the tables when the file is new; fill them from the job folders."""
        db = self._connect()
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.isolation_level = None
            db.execute("BEGIN IMMEDIATE")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StateUnusable(
                    f"{self._path} was written by a newer version (layout {version}).",
                    hint="Upgrade mcp-cloud-agents, or set state_dir to another folder.",
                )
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.executemany(_INSERT, map(_row, self._known()))
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("malformed")
            db.execute("COMMIT")
        finally:
            db.close()


def _row(record: Record) -> tuple[str, str | None, str, str, str, float, bytes]:
    spec = record.spec
    workspace = spec.snapshot.origin.workspace
    data = msgspec.json.encode(spec)
    return spec.id, spec.key, spec.digest, workspace, record.backend, spec.created_at, data


def _record(row: tuple[str, bytes]) -> Record:
    return Record(backend=row[0], spec=msgspec.json.decode(row[1], type=JobSpec))


def _age(record: Record) -> tuple[float, str]:
    return record.spec.created_at, record.spec.id


def _damaged(exc: sqlite3.DatabaseError) -> bool:
    signs = ("malformed", "not a database", "no such table", "no such column")
    return any(sign in str(exc) for sign in signs)


def _no_room(path: str) -> bool:
    """Whether the disk is full: SQLite tells that as an I/O error when it maps its WAL index."""
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _WAL_INDEX_BYTES


@contextmanager
def _sqlite_errors(path: str) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        if "full" in str(exc) or _no_room(path):
            raise NoSpace(
                f"No space left on the disk that holds {path}.",
                hint="Free some space there, or set state_dir to a folder on another disk.",
            ) from exc
        hint = "Another process may hold it: try again."
        if "locked" not in str(exc):
            hint = "Check the folder's permissions, or set state_dir to another folder."
        raise StateUnusable(f"The job index {path} cannot be used: {exc}.", hint=hint) from exc
    except msgspec.MsgspecError as exc:
        raise StateUnusable(
            f"The job index {path} holds a job this version cannot read: {exc}.",
            hint="Upgrade mcp-cloud-agents, or set state_dir to another folder.",
        ) from exc
