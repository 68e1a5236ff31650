"""What a person trusted, in SQLite: one row for each content of each repository."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.agents.trust import config_digest
from mcp_cloud_agents.storage.sqlite_file import Layout, SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

_SCHEMA = """
CREATE TABLE trusted (
  common_dir TEXT NOT NULL,
  digest TEXT NOT NULL,
  at REAL NOT NULL,
  files BLOB NOT NULL,
  PRIMARY KEY (common_dir, digest)
) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """One thing that a person said."""

    common_dir: str
    digest: str
    at: float
    """Seconds since the epoch."""
    files: dict[str, bytes]
    """What was looked at, to show the next change against it."""


class SqliteTrust:
    """`ports.trust.Trust` over one file of the state folder. A damaged file trusts nothing.

    Args:
        path: of the database file; its folder exists.
    """

    def __init__(self, path: str) -> None:
        self._file = SqliteFile(path, Layout(what="list of trust", version=1, schema=_SCHEMA))

    def of(self, common_dir: str, digest: str) -> bool:
        """See the port."""

        def work(db: sqlite3.Connection) -> bool:
            query = "SELECT 1 FROM trusted WHERE common_dir = ? AND digest = ?"
            return db.execute(query, (common_dir, digest)).fetchone() is not None

        return self._file.read(work)

    def trust(self, common_dir: str, files: Mapping[str, bytes]) -> None:
        """Trust this content of this repository. Raises StateUnusable, NoSpace."""
        row = (common_dir, config_digest(files), time.time(), msgspec.msgpack.encode(dict(files)))

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO trusted VALUES (?,?,?,?)", row)

        self._file.write(work)

    def forget(self, common_dir: str) -> int:
        """Trust nothing of this repository any more; how many contents were trusted."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute("DELETE FROM trusted WHERE common_dir = ?", (common_dir,)).rowcount

        return self._file.write(work)

    def everything(self, common_dir: str | None = None) -> tuple[Trusted, ...]:
        """All that is trusted, or all of one repository, newest first."""

        def work(db: sqlite3.Connection) -> list[tuple[str, str, float, bytes]]:
            query = (
                "SELECT common_dir, digest, at, files FROM trusted "
                "WHERE ?1 IS NULL OR common_dir = ?1 ORDER BY at DESC, digest"
            )
            return db.execute(query, (common_dir,)).fetchall()

        return tuple(map(_trusted, self._file.read(work)))


def _trusted(row: tuple[str, str, float, bytes]) -> Trusted:
    files = msgspec.msgpack.decode(row[3], type=dict[str, bytes])
    return Trusted(common_dir=row[0], digest=row[1], at=row[2], files=files)
