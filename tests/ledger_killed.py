"""`python -m tests.ledger_killed FOLDER`: a ledger whose process dies before each statement of SQL.

Prints, for each kind of work, what was found after each death: one line of JSON. Every death is a
fork of this process, which has one thread, ended by `os._exit`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.governance.ledger_rebuild import details_of
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.storage.sqlite_file import SqliteFile
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.ledgers import DAY, MONTH, TEAM, check, limit, order

Work = Callable[[SqliteLedger], object]
LIMITS = (limit(DAY), limit(MONTH))
KNOWN = order("known", 20, *LIMITS)


class DyingFile(SqliteFile):
    """The process ends before the n-th statement, as if it had been killed there."""

    left = 0

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        db.set_trace_callback(self._count)
        return db

    def _count(self, _: str) -> None:
        if self.left == 0:
            os._exit(9)
        self.left -= 1


def entries() -> list[Entry]:
    return [
        Entry(
            at=1.0,
            action=Action.ALLOWED,
            actor=Actor(),
            job_id="known",
            worst_micros=20,
            details=details_of(KNOWN),
        )
    ]


WORK: dict[str, Work] = {
    "make": lambda ledger: ledger.reserve([order("first", 5, *LIMITS)]),
    "reserve": lambda ledger: ledger.reserve([order("new", 5, *LIMITS), order("n2", 5, *LIMITS)]),
    "reserve in a new scope": lambda ledger: ledger.reserve([order("new", 5, limit(TEAM))]),
    "settle": lambda ledger: ledger.settle("known", 7, at=2.0),
    "release": lambda ledger: ledger.release("known", at=2.0),
    "replace": lambda ledger: ledger.replace([order("known", 30, *LIMITS)]),
    "set_cap": lambda ledger: ledger.set_cap(limit(DAY, 50)),
    "recover": lambda ledger: ledger.recover(entries()),
}


def open_ledger(folder: Path, dies_at: int | None = None) -> SqliteLedger:
    ledger = SqliteLedger(str(folder / "ledger.sqlite"), entries, elsewhere=frozenset())
    if dies_at is not None:
        file = DyingFile(ledger._file.path, ledger._file._layout)
        file.left = dies_at
        ledger._file = file
    return ledger


def survived(work: Work, folder: Path, dies_at: int) -> bool:
    """Whether the work was done before it came to this statement."""
    child = os.fork()
    if child == 0:
        work(open_ledger(folder, dies_at))
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def found(folder: Path) -> list[object]:
    """The balances; then the same after whatever is open was released."""
    ledger = open_ledger(folder)
    before = list(check(ledger, DAY, MONTH, TEAM).items())
    for one in ledger.open():
        ledger.release(one.order.token, at=9.0)
    after = list(check(ledger, DAY, MONTH, TEAM).items())
    return [before, after]


def deaths(name: str, folder: Path) -> list[list[object]]:
    """What is found after a death at the first statement, the second, …, and after none."""
    told: list[list[object]] = []
    while True:
        place = folder / f"{name}-{len(told)}"
        place.mkdir()
        if name != "make":
            open_ledger(place).open()  # made from the entries
        done = survived(WORK[name], place, len(told))
        told.append(found(place))
        shutil.rmtree(place)
        if done:
            return told


if __name__ == "__main__":
    for name in WORK:
        sys.stdout.write(json.dumps({"work": name, "found": deaths(name, Path(sys.argv[1]))}))
        sys.stdout.write("\n")
