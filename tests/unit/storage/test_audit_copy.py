"""The copy of the audit in a shared store: pieces written once, gone on with where it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.errors import StoreUnavailable
from mcp_cloud_agents.governance.audit import Broken, Fault, Line, Verified, verify
from mcp_cloud_agents.storage.audit_copy import AuditCopy, Copied
from mcp_cloud_agents.storage.audit_files import AuditFiles
from mcp_cloud_agents.storage.folder_store import FolderStore
from mcp_cloud_agents.storage.lock import locked
from tests.audit_entries import an_entry, audit_in

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.store import Store

AT = 1_000_000.0


@pytest.fixture
def audit(tmp_path: Path) -> AuditFiles:
    return audit_in(tmp_path / "audit", rotate_bytes=2_000)


def write(audit: AuditFiles, count: int) -> None:
    for _ in range(count):
        audit.append(an_entry(at=AT))


def copy(audit: AuditFiles, store: Store, *, now: float = AT) -> AuditCopy:
    return AuditCopy(audit.folder, lambda: store, now=lambda: now)


def pieces(store: Store) -> dict[str, bytes]:
    """Name without the machine, to content."""
    return {one.key.rpartition("/")[2]: store.get(one.key) or b"" for one in store.list("audit/")}


def stored(audit: AuditFiles) -> bytes:
    return b"".join(line.data for line in audit.folder.lines())


def test_what_is_new_goes_into_a_piece_of_its_own(audit: AuditFiles, store: Store) -> None:
    write(audit, 12)
    copied = copy(audit, store).copy_pending(all_of_it=True)
    assert copied == Copied(copied=12, pending=0, where=store.name)
    write(audit, 3)
    copy(audit, store).copy_pending(all_of_it=True)
    assert list(pieces(store)) == ["00000001-00000012.jsonl", "00000013-00000015.jsonl"]
    assert b"".join(pieces(store).values()) == stored(audit)


def test_the_copy_is_a_chain_that_can_be_verified_alone(audit: AuditFiles, store: Store) -> None:
    for _ in range(3):
        write(audit, 4)
        copy(audit, store).copy_pending(all_of_it=True)
    lines = (
        Line(file=name, line=at, data=data)
        for name, content in pieces(store).items()
        for at, data in enumerate(content.splitlines(keepends=True), start=1)
    )
    found = verify(lines)
    assert isinstance(found, Verified)
    assert found.entries == 12


def never() -> Store:
    raise AssertionError("nobody has to be asked")


def test_a_sweep_with_nothing_new_asks_nobody(audit: AuditFiles, store: Store) -> None:
    assert AuditCopy(audit.folder, never).copy_pending() == Copied(copied=0, pending=0)
    write(audit, 2)
    copy(audit, store).copy_pending(all_of_it=True)
    assert AuditCopy(audit.folder, never).copy_pending(all_of_it=True).pending == 0


@pytest.mark.parametrize(
    ("count", "waits_s", "goes"),
    [(1, 10, False), (199, 899, False), (200, 0, True), (1, 900, True)],
)
def test_a_sweep_waits_for_many_entries_or_old_ones(
    audit: AuditFiles, tmp_path: Path, count: int, waits_s: float, *, goes: bool
) -> None:
    store = FolderStore(str(tmp_path / "store"))
    write(audit, count)
    copied = copy(audit, store, now=AT + waits_s).copy_pending()
    assert copied.copied == (count if goes else 0)
    assert copied.oldest_at == (None if goes else AT)


def test_a_lost_hint_is_made_anew_from_what_is_there(audit: AuditFiles, store: Store) -> None:
    write(audit, 5)
    copy(audit, store).copy_pending(all_of_it=True)
    os.unlink(audit.folder.copied_path)
    assert copy(audit, store).state().pending == 5
    write(audit, 1)
    assert copy(audit, store).copy_pending(all_of_it=True).copied == 6
    assert list(pieces(store)) == ["00000001-00000005.jsonl", "00000006-00000006.jsonl"]


def test_a_store_that_does_not_answer_is_told_and_harms_nothing(audit: AuditFiles) -> None:
    def away() -> Store:
        raise StoreUnavailable("It is away.", hint="Call again.")

    write(audit, 2)
    copied = AuditCopy(audit.folder, away).copy_pending(all_of_it=True)
    assert copied == Copied(copied=0, pending=2, oldest_at=AT, problem="It is away. Call again.")
    assert audit.append(an_entry()).number == 3


def test_only_one_copies_at_a_time(audit: AuditFiles, store: Store) -> None:
    write(audit, 2)
    with locked(os.path.join(audit.folder.path, "copying")):
        copied = copy(audit, store).copy_pending(all_of_it=True)
    assert (copied.pending, "Another process" in copied.problem) == (2, True)
    assert pieces(store) == {}


def forge(audit: AuditFiles, count: int) -> None:
    """A chain anew from its beginning, whole in itself, under the name of the one before."""
    machine = Path(audit.folder.machine_path)
    name = machine.read_bytes()
    for path in Path(audit.folder.path).iterdir():
        if path.name != "copied":
            path.unlink()
    for _ in range(count):
        audit.append(an_entry(at=AT, reason="forged"))
    machine.write_bytes(name)


@pytest.mark.parametrize(("count", "fault"), [(4, Fault.REPLACED), (2, Fault.TRUNCATED)])
def test_a_chain_that_was_forged_here_is_known_by_its_copy(
    audit: AuditFiles, store: Store, count: int, fault: Fault
) -> None:
    write(audit, 4)
    copying = copy(audit, store)
    copying.copy_pending(all_of_it=True)
    forge(audit, count)
    assert isinstance(audit.folder.verify(), Verified), "nothing on this machine knows better"
    known = copying.known()
    assert known is not None
    found = audit.folder.verify([known])
    assert isinstance(found, Broken)
    assert found.fault is fault
    before = pieces(store)
    for _ in range(3):
        audit.append(an_entry(at=AT, reason="later"))
    assert copying.copy_pending(all_of_it=True).problem
    assert pieces(store) == before


def test_a_state_folder_on_two_machines_is_told(
    audit: AuditFiles, tmp_path: Path, store: Store
) -> None:
    write(audit, 2)
    twin = audit_in(tmp_path / "twin")
    twin.append(an_entry(reason="elsewhere"))
    write(twin, 3)
    machine = Path(audit.folder.path, "machine").read_bytes()
    Path(twin.folder.path, "machine").write_bytes(machine)
    copy(audit, store).copy_pending(all_of_it=True)
    copied = copy(twin, store).copy_pending(all_of_it=True)
    assert "does not go on where its copy" in copied.problem
    assert list(pieces(store)) == ["00000001-00000002.jsonl"]
