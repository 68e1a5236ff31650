"""The contract of `ports/circuit_store.py`, for every implementation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.circuit import CircuitRecord
from mcp_cloud_agents.ports.circuit_store import CircuitStore
from mcp_cloud_agents.resilience.circuit_in_memory import CircuitInMemory
from mcp_cloud_agents.storage.circuit_file import CircuitFile, circuit_path, circuits_in

STORES: dict[str, Callable[[Path], CircuitStore]] = {
    "memory": lambda _: CircuitInMemory(),
    "file": lambda folder: CircuitFile(str(folder / "breakers"), "a model at host:1/x"),
}
NAME = "place"
MORE = """
import sys
from dataclasses import replace
from mcp_cloud_agents.storage.circuit_file import CircuitFile
store = CircuitFile(sys.argv[1], "place")
for _ in range(100):
    store.change(lambda record: replace(record, failures=record.failures + 1))
"""


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CircuitStore:
    return STORES[request.param](tmp_path)


def one_more(record: CircuitRecord) -> CircuitRecord:
    return replace(record, failures=record.failures + 1, failed_at=7.5, why="no")


def test_nothing_is_remembered_before_the_first_change(store: CircuitStore) -> None:
    assert store.read() == CircuitRecord()


def test_a_change_is_given_back_and_read_afterwards(store: CircuitStore) -> None:
    once = CircuitRecord(failures=1, failed_at=7.5, why="no")
    assert store.change(one_more) == once
    assert store.read() == once
    assert store.change(lambda _: CircuitRecord()) == store.read() == CircuitRecord()


def test_changes_of_many_threads_are_all_counted(store: CircuitStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.change, [one_more] * 80))
    assert store.read().failures == 80


def test_changes_of_many_processes_are_all_counted(tmp_path: Path) -> None:
    words = [sys.executable, "-c", MORE, str(tmp_path)]
    processes = [subprocess.Popen(words) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert CircuitFile(str(tmp_path), NAME).read().failures == 300


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"name": "pl',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"name":"place","record":{"failures":"x"}}',
    ],
)
def test_a_damaged_file_is_a_closed_breaker_and_is_mended(tmp_path: Path, damage: bytes) -> None:
    store = CircuitFile(str(tmp_path), NAME)
    store.change(one_more)
    Path(circuit_path(str(tmp_path), NAME)).write_bytes(damage)
    assert (store.read(), circuits_in(str(tmp_path))) == (CircuitRecord(), ())
    assert store.change(one_more).failures == 1
    assert CircuitFile(str(tmp_path), NAME).read().failures == 1


def test_what_cannot_be_written_is_remembered_by_the_object_alone(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("no folder")
    store = CircuitFile(str(folder), NAME)
    assert store.change(one_more).failures == 1
    assert store.change(one_more).failures == 2
    folder.unlink()
    assert store.change(one_more).failures == 3
    assert CircuitFile(str(folder), NAME).read().failures == 3


def test_all_are_listed_by_their_names_whatever_is_in_them(tmp_path: Path) -> None:
    names = ("../../etc/passwd", "a model at host:1/x", "a model at host:1 x", "ä" * 300)
    for name in names:
        CircuitFile(str(tmp_path / "breakers"), name).change(one_more)
    assert {one.name for one in circuits_in(str(tmp_path / "breakers"))} == set(names)
    assert [path.name for path in tmp_path.iterdir()] == ["breakers"]
    assert circuits_in(str(tmp_path / "none")) == ()
