"""What every implementation of the port `Audit` keeps: written once, in order, for good."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.governance.audit import START, seal
from mcp_cloud_agents.ports.audit import Action, Link
from tests.audit_entries import an_entry, audit_in
from tests.stores import ROOT

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.audit import Audit

KINDS: dict[str, Callable[[Path], Audit]] = {"folder": lambda folder: audit_in(folder / "audit")}
PROCESSES, EACH = 8, 12


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Audit]:
    """Opens the same audit, as another process would."""
    return lambda: KINDS[request.param](tmp_path)


def assert_chained(links: list[Link]) -> None:
    previous = START.hash
    for number, link in enumerate(links, start=1):
        assert (link.number, link.previous) == (number, previous)
        previous = link.hash


def test_nothing_is_there_before_the_first_entry(opened: Callable[[], Audit]) -> None:
    assert list(opened().links()) == []


def test_the_first_entry_begins_the_chain(opened: Callable[[], Audit]) -> None:
    entry = an_entry()
    link = opened().append(entry)
    assert link == seal(entry, after=START)
    assert list(opened().links()) == [link]


def test_entries_are_read_back_in_the_order_they_were_written(
    opened: Callable[[], Audit],
) -> None:
    written = [opened().append(an_entry(action=action)) for action in Action]
    assert [link.entry.action for link in written] == list(Action)
    assert list(opened().links()) == written
    assert_chained(written)


def test_equal_entries_are_entries_of_their_own(opened: Callable[[], Audit]) -> None:
    audit = opened()
    first, second = audit.append(an_entry()), audit.append(an_entry())
    assert (first.number, second.number, first.hash != second.hash) == (1, 2, True)


def test_secrets_never_reach_what_is_written(opened: Callable[[], Audit], tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4" * 5
    link = opened().append(an_entry(reason=f"with {secret}", details=(("x", secret),)))
    assert link.entry.reason == "with [redacted]"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in kept


def test_of_many_threads_each_gets_a_number_of_its_own(opened: Callable[[], Audit]) -> None:
    audit = opened()
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(audit.append, [an_entry(job_id=f"j-{at}") for at in range(40)]))
    links = list(opened().links())
    assert sorted(written, key=lambda link: link.number) == links
    assert len(links) == 40
    assert_chained(links)


def test_of_many_processes_each_entry_stands_in_one_chain(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "audit", subprocess.PIPE
    argv = [sys.executable, "-m", "tests.audit_entries", str(folder)]
    writers = [
        subprocess.Popen([*argv, f"p{at}", str(EACH)], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        for at in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    acknowledged = [
        int(one) for writer in writers for one in writer.communicate(timeout=60)[0].split()
    ]
    links = list(audit_in(folder).links())
    assert_chained(links)
    assert sorted(acknowledged) == [link.number for link in links] == [*range(1, 97)]
    names = {f"p{at}-{turn}" for at in range(PROCESSES) for turn in range(EACH)}
    assert {link.entry.job_id for link in links} == names
