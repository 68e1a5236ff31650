"""The local ledger when its process dies, its file is damaged, and others want it, too."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.errors import LedgerUnusable
from mcp_cloud_agents.ports.ledger import OverLimit, Reserved
from mcp_cloud_agents.storage import sqlite_file
from mcp_cloud_agents.storage.sqlite_file import SqliteFile
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.ledger_killed import LIMITS, WORK, entries
from tests.ledgers import DAY, MEMORY, MONTH, TEAM, check, limit, local, order

ROOT = Path(__file__).parents[3]
OPEN = [["day", [80, 0, 20]], ["month", [80, 0, 20]]]
FREE = [["day", [100, 0, 0]], ["month", [100, 0, 0]]]
BOTH_5 = [["day", [75, 0, 25]], ["month", [75, 0, 25]]]
AFTER: dict[str, Any] = {
    "make": (BOTH_5, FREE),
    "reserve": ([["day", [70, 0, 30]], ["month", [70, 0, 30]]], FREE),
    "reserve in a new scope": ([*OPEN, ["team", [95, 0, 5]]], [*FREE, ["team", [100, 0, 0]]]),
    "settle": ([["day", [93, 7, 0]], ["month", [93, 7, 0]]],) * 2,
    "release": (FREE, FREE),
    "replace": ([["day", [70, 0, 30]], ["month", [70, 0, 30]]], FREE),
    "set_cap": (
        [["day", [30, 0, 20]], ["month", [80, 0, 20]]],
        [["day", [50, 0, 0]], ["month", [100, 0, 0]]],
    ),
    "recover": (OPEN, FREE),
}


@pytest.fixture(scope="module")
def deaths() -> dict[str, list[list[Any]]]:
    """What was found after a death at each statement, by the kind of work."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        command = [sys.executable, "-m", "tests.ledger_killed", folder]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["work"]: line["found"] for line in lines}


@pytest.mark.parametrize("work", WORK)
def test_a_death_at_any_statement_leaves_all_of_the_work_or_nothing(
    deaths: dict[str, list[list[Any]]], work: str
) -> None:
    before, after = [OPEN, FREE], list(AFTER[work])
    found = deaths[work]
    done_from = next(number for number, one in enumerate(found) if one == after)
    assert len(found) > 5
    assert found[:done_from] == [before] * done_from
    assert found[done_from:] == [after] * (len(found) - done_from)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> SqliteLedger:
    made = SqliteLedger(str(path), entries)
    made.reserve([order("j1", 30, *LIMITS)])
    return made


def spoil(path: Path) -> None:
    for beside in path.parent.glob("ledger.sqlite-*"):
        beside.unlink()
    path.write_bytes(b"not a database\n" * 5_000)


def test_a_damaged_file_is_refused_and_left_as_it_is(ledger: SqliteLedger, path: Path) -> None:
    spoil(path)
    for made in (ledger, SqliteLedger(str(path), entries)):
        with pytest.raises(LedgerUnusable) as raised:
            made.reserve([order("j2", 1, *LIMITS)])
        assert str(path) in raised.value.message
        assert "costs --recover" in raised.value.hint
    assert path.read_bytes().startswith(b"not a database")


def test_recovery_puts_the_damaged_file_aside_and_knows_what_the_audit_knows(
    ledger: SqliteLedger, path: Path
) -> None:
    spoil(path)
    found, aside = ledger.recover(entries())
    assert [one.order.token for one in found.reservations] == ["known"]
    assert Path(aside).read_bytes().startswith(b"not a database")
    assert [one.order.token for one in ledger.open()] == ["known"]
    assert list(check(ledger, DAY, MONTH).values()) == [(80, 0, 20), (80, 0, 20)]
    assert ledger.reserve([order("j2", 80, *LIMITS)]) == Reserved()


def test_a_ledger_that_somebody_deleted_forgets_no_money(path: Path, ledger: SqliteLedger) -> None:
    for file in path.parent.glob("ledger.sqlite*"):
        file.unlink()
    assert list(check(ledger, DAY).values()) == [(80, 0, 20)]


def test_who_waits_for_a_recovery_writes_into_the_new_file(
    ledger: SqliteLedger, path: Path
) -> None:
    opened = sqlite_file._inode(str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("SELECT * FROM scopes").fetchall()
        ledger.recover(entries())
        with pytest.raises(sqlite3.DatabaseError, match="put aside"):
            sqlite_file._check_inode(str(path), opened)
    assert SqliteLedger(str(path)).reserve([order("j3", 5, *LIMITS)]) == Reserved()
    assert list(check(ledger, DAY).values()) == [(75, 0, 25)]


def test_who_still_has_the_old_file_open_harms_nothing_in_the_new_one(
    ledger: SqliteLedger, path: Path
) -> None:
    wal = path.with_name("ledger.sqlite-wal")
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("SELECT * FROM scopes").fetchall()
    ledger.recover(entries())
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("SELECT * FROM scopes").fetchall()
        ledger.reserve([order("j3", 5, *LIMITS)])
        before = wal.stat().st_size
        old.close()
        assert (before > 0, wal.stat().st_size) == (True, before)
    assert list(check(SqliteLedger(str(path)), DAY).values()) == [(75, 0, 25)]


def test_a_ledger_that_another_process_holds_is_told_in_time(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY_S", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnusable, match="locked") as raised:
        ledger.settle("j1", 1, at=2.0)
    assert "Another process" in raised.value.hint
    assert [one.order.token for one in ledger.open()] == ["j1", "known"]
    holder.rollback()
    holder.close()
    assert ledger.settle("j1", 1, at=2.0) is not None


class FullDisk(SqliteFile):
    """Has no room for one page more."""

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        db.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size, if that is more
        return db


def test_a_full_disk_is_told_and_holds_nothing(ledger: SqliteLedger) -> None:
    roomy, before = ledger._file, check(ledger, DAY, MONTH)
    ledger._file = FullDisk(roomy.path, roomy._layout)
    with pytest.raises(LedgerUnusable, match="No space left") as raised:
        ledger.reserve([order(f"long-{number}" * 99, 1, *LIMITS) for number in range(40)])
    assert "Free some space" in raised.value.hint
    assert check(ledger, DAY, MONTH) == before
    ledger._file = roomy
    assert ledger.settle("j1", 1, at=2.0) is not None


def test_rows_that_do_not_add_up_are_refused_by_the_file_itself(
    ledger: SqliteLedger, path: Path
) -> None:
    assert isinstance(ledger.reserve([order("j2", 99, *LIMITS)]), OverLimit)
    with sqlite3.connect(path) as db, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        db.execute("UPDATE scopes SET room = room + 1")
    db.close()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerUnusable, match="cannot be written"):
        SqliteLedger(str(tmp_path / "file" / "ledger.sqlite")).open()


def test_money_of_a_kind_that_is_counted_elsewhere_is_kept_with_the_order(tmp_path: Path) -> None:
    member = local(tmp_path)
    wanted = order("j1", 30, limit(DAY), limit(TEAM, 1))
    assert member.reserve([wanted]) == Reserved()
    assert member.balances([TEAM]) == ()
    held = member.get("j1")
    assert held is not None
    assert held.order == wanted


_SPEND = """
import sys
from mcp_cloud_agents.ports.ledger import OverLimit
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.ledgers import limit, order, DAY, MONTH
ledger, me = SqliteLedger(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for number in range(25):
    token = f"{me}-{number}"
    if isinstance(ledger.reserve([order(token, 3, limit(DAY), limit(MONTH))]), OverLimit):
        continue
    if number % 2:
        ledger.release(token, at=2.0)
    else:
        ledger.settle(token, 2, at=2.0)
"""


def test_several_processes_never_pass_a_limit(path: Path) -> None:
    command = [sys.executable, "-c", _SPEND, str(path)]
    running = [
        subprocess.Popen([*command, str(number)], cwd=ROOT, stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for one in running:
        one.communicate(b"go\n", timeout=60)
    assert [one.returncode for one in running] == [0] * 4
    ledger = SqliteLedger(str(path))
    ((room, spent, held),) = set(check(ledger, DAY, MONTH).values())
    assert (0 <= room < 3, held, ledger.open()) == (True, 0, ())
    assert sum(one.actual_micros for one in ledger.ended(since=0, until=9)) == spent
