"""One SQLite file that processes share: made, upgraded, checked, put aside when damaged.

A connection per call, so any thread may call. Every commit is on the disk before it returns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from mcp_cloud_agents.domain.errors import NoSpace, StateUnusable
from mcp_cloud_agents.storage.files import storage_errors
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")
_BUSY_S = 10.0
_WAL_INDEX_BYTES = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is in a file.

    Attributes:
        what: how messages call it, e.g. `job index`.
        version: of the schema, from 1.
        schema: statements that make the tables, each ended by `;`.
        fill: puts what is known from elsewhere into new tables.
        replaceable: whether a damaged file is put aside and made anew by `fill`; else it stays.
    """

    what: str
    version: int
    schema: str
    fill: Callable[[sqlite3.Connection], None] = lambda _: None
    replaceable: bool = False


class Damaged(StateUnusable):
    """The file is no database any more, or tables are missing; it was left as it is."""


class _PutAside(sqlite3.DatabaseError):
    """While this process waited for its turn, another one took the file away."""


class SqliteFile:
    """See the module.

    Args:
        path: of the database file; its folder exists.
        layout: what is in it.
    """

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._ready = False
        self._opening = threading.Lock()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work without a transaction of its own.

        Raises:
            NoSpace: the disk is full.
            Damaged: the file is, and cannot be replaced.
            StateUnusable: another process holds it for too long, or it cannot be opened.
        """
        return self._twice(lambda db, _: work(db))

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work in one transaction that begins at once (`BEGIN IMMEDIATE`).

        Raises:
            NoSpace, Damaged, StateUnusable: as `read`; nothing was changed.
        """

        def in_transaction(db: sqlite3.Connection, opened: int) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                _check_inode(self.path, opened)
                done = work(db)
            except BaseException:
                db.rollback()
                raise
            db.commit()
            return done

        return self._twice(in_transaction)

    def remake(self, fill: Callable[[sqlite3.Connection], None]) -> str:
        """Put the file aside, damaged or not, and fill a new one.

        Who writes meanwhile waits for it, and writes into the new one.

        Returns:
            The new name of the old file; empty: there was none.

        Raises:
            NoSpace, StateUnusable: as `read`; the next call makes the file, where there is none.
        """
        with (
            _sqlite_errors(self.path, self._layout.what),
            storage_errors(self.path),
            locked(f"{self.path}.lock", wait_s=_BUSY_S),
            self._writers_wait(),
        ):
            aside = self.put_aside() if os.path.exists(self.path) else ""
            self._create(fill)
        return aside

    @contextmanager
    def _writers_wait(self) -> Generator[None]:
        """Hold the turn to write in the file that is there, where it can still be held.

        It is let go of when the file has its new name. SQLite sees that, and leaves what is beside
        the old name alone (`databaseIsUnmoved` in its pager).
        """
        if not os.path.exists(self.path):
            yield
            return
        with ExitStack() as held:
            try:
                held.enter_context(closing(self._connect())).execute("BEGIN IMMEDIATE")
            except sqlite3.DatabaseError as exc:
                if not _damaged(exc):
                    raise
            yield

    def _twice(self, work: Callable[[sqlite3.Connection, int], T]) -> T:
        """Work with a connection and the file's inode; again when the file had to be mended."""
        with _sqlite_errors(self.path, self._layout.what):
            try:
                return self._attempt(work)
            except sqlite3.DatabaseError as exc:
                if not _damaged(exc):
                    raise
                self._ready = False
                return self._attempt(work)

    def _attempt(self, work: Callable[[sqlite3.Connection, int], T]) -> T:
        self._prepare()
        opened = _inode(self.path)
        with closing(self._connect()) as db:
            return work(db, opened)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _prepare(self) -> None:
        """Make or mend the file, one process at a time; nothing when it is in use already."""
        with self._opening:
            if self._ready and os.path.exists(self.path):
                return
            with storage_errors(self.path), locked(f"{self.path}.lock", wait_s=_BUSY_S):
                self._create_or_replace()
            self._ready = True

    def _create_or_replace(self) -> None:
        """A damaged file is put aside, where that loses nothing."""
        try:
            self._create(self._layout.fill)
        except sqlite3.DatabaseError as exc:
            if not (self._layout.replaceable and _damaged(exc)):
                raise
            self.put_aside()
            self._create(self._layout.fill)

    def put_aside(self) -> str:
        """Give a damaged file another name, for a person to look at; the new name."""
        aside = f"{self.path}.damaged-{time.time_ns()}"
        os.rename(self.path, aside)
        for beside in ("-wal", "-shm"):  # the newest commits are in the first
            with suppress(FileNotFoundError):
                os.rename(self.path + beside, aside + beside)
        self._ready = False
        return aside

    def _create(self, fill: Callable[[sqlite3.Connection], None]) -> None:
        """Make the tables when the file is new, and fill them.

        The file is made here because SQLite's own would be readable for everybody; what it puts
        beside it gets the same mode.
        """
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > self._layout.version:
                raise StateUnusable(
                    f"{self.path} was written by a newer version (layout {version}).",
                    hint="Upgrade mcp-cloud-agents, or set state_dir to another folder.",
                )
            if version == 0:
                for statement in filter(str.strip, self._layout.schema.split(";")):
                    db.execute(statement)
                fill(db)
                db.execute(f"PRAGMA user_version = {self._layout.version}")
            elif db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("malformed")
            db.execute("COMMIT")


def _inode(path: str) -> int:
    """Which file is there; 0: none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _check_inode(path: str, opened: int) -> None:
    if _inode(path) != opened:
        raise _PutAside(f"{path} was put aside")


def _damaged(exc: sqlite3.DatabaseError) -> bool:
    if isinstance(exc, _PutAside):
        return True
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
def _sqlite_errors(path: str, what: str) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        if "full" in str(exc) or _no_room(path):
            raise NoSpace(
                f"No space left on the disk that holds {path}.",
                hint="Free some space there, or set state_dir to a folder on another disk.",
            ) from exc
        if isinstance(exc, sqlite3.DatabaseError) and _damaged(exc):
            raise Damaged(
                f"The {what} {path} is damaged: {exc}.",
                hint="Keep the file for a look; `mcp-cloud-agents doctor` says what to do.",
            ) from exc
        hint = "Another process may hold it: try again."
        if "locked" not in str(exc):
            hint = "Check the folder's permissions, or set state_dir to another folder."
        raise StateUnusable(f"The {what} {path} cannot be used: {exc}.", hint=hint) from exc
    except msgspec.MsgspecError as exc:
        raise StateUnusable(
            f"The {what} {path} holds something this version cannot read: {exc}.",
            hint="Upgrade mcp-cloud-agents, or set state_dir to another folder.",
        ) from exc
