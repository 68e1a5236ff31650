"""The audit's files: rotated, private, mended after a crash, refused when entries are gone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.errors import AuditUnusable
from mcp_cloud_agents.governance.audit import Broken, Fault, Verified
from mcp_cloud_agents.storage.audit_files import AuditFiles
from tests.audit_entries import an_entry, audit_in
from tests.tiers import tiers

STEPS = ("fsync", "ftruncate", "mkdir", "open", "pwrite", "rename", "write")
ROTATE = 1_500
"""Bytes: five entries a file."""


def written(folder: Path, count: int, **options: Any) -> AuditFiles:
    audit = audit_in(folder, **options)
    for _ in range(count):
        audit.append(an_entry())
    return audit


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".jsonl")


def whole(audit: AuditFiles) -> int:
    """How many entries there are, in a chain that is whole."""
    found = audit.folder.verify()
    assert isinstance(found, Verified), found
    return found.entries


def test_a_full_file_is_followed_by_one_named_by_its_first_entry(tmp_path: Path) -> None:
    audit = written(tmp_path / "a", 12, rotate_bytes=ROTATE)
    links = list(audit.links())
    assert names(tmp_path / "a") == [f"{first:08}.jsonl" for first in (1, 6, 11)]
    assert [link.number for link in links] == [*range(1, 13)]
    assert audit.folder.last(3) == tuple(links[-3:])
    assert audit.folder.last(7) == tuple(links[-7:])
    assert [link.number for link in audit.folder.links(after=5)] == [*range(6, 13)]
    assert whole(audit) == 12


def test_files_and_folder_are_the_persons_alone(tmp_path: Path) -> None:
    written(tmp_path / "a", 1)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a").iterdir()} == {0o600}


def test_an_entry_costs_no_reading_of_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = written(tmp_path / "a", 200)
    read: list[int] = []
    really = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        data = really(fd, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    audit.append(an_entry())
    assert sum(read) == 16_384 < (tmp_path / "a/00000001.jsonl").stat().st_size


def test_an_entry_longer_than_what_is_read_at_first_is_followed(tmp_path: Path) -> None:
    details = tuple((f"k{at}", "ü" * 500) for at in range(50))
    audit = audit_in(tmp_path / "a")
    for _ in range(3):
        audit.append(an_entry(details=details))
    assert (tmp_path / "a/00000001.jsonl").stat().st_size > 3 * 50_000
    assert whole(audit) == 3


@pytest.mark.parametrize("torn", [b"{", b'{"number":4', b"\0" * 700])
def test_an_unfinished_line_is_put_aside_and_the_chain_goes_on(tmp_path: Path, torn: bytes) -> None:
    audit = written(tmp_path / "a", 3)
    path = tmp_path / "a/00000001.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    assert len(list(audit.links())) == 3
    found = audit.folder.verify()
    assert isinstance(found, Broken)
    assert (found.line, found.number, found.fault) == (4, 4, Fault.UNFINISHED)
    assert audit.append(an_entry()).number == 4
    assert whole(audit) == 4
    (aside,) = (tmp_path / "a").glob("torn-*")
    assert aside.read_bytes() == torn
    assert audit.folder.torn() == 1


def cut_last(folder: Path) -> None:
    path = folder / "00000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def half_last(folder: Path) -> None:
    path = folder / "00000001.jsonl"
    path.write_bytes(path.read_bytes()[:-100])


def change_last(folder: Path) -> None:
    path = folder / "00000001.jsonl"
    path.write_bytes(path.read_bytes()[:-90] + b"x" + path.read_bytes()[-89:])


def no_files(folder: Path) -> None:
    (folder / "00000001.jsonl").unlink()


def no_head(folder: Path) -> None:
    (folder / "head").unlink()


def wrong_head(folder: Path) -> None:
    (folder / "head").write_bytes(b"")


def other_head(folder: Path) -> None:
    (folder / "head").write_bytes(f"{3:020} {'a' * 64}\n".encode())


HARMS = (cut_last, half_last, change_last, no_files, no_head, wrong_head, other_head)


@pytest.mark.parametrize("harm", HARMS)
def test_nothing_is_put_behind_a_chain_that_was_harmed(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    audit = written(tmp_path / "a", 3)
    harm(tmp_path / "a")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("0*")}
    with pytest.raises(AuditUnusable) as refused:
        audit.append(an_entry())
    assert "audit verify" in refused.value.hint
    assert isinstance(audit.folder.verify(), Broken)
    if harm is not half_last:  # its rest was put aside
        assert {path.name: path.read_bytes() for path in (tmp_path / "a").glob("0*")} == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no tmpfs may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_refuses_and_leaves_nothing_half_written(small_disk: Path) -> None:
    audit = audit_in(small_disk / "a")
    audit.append(an_entry())
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(b"x" * (1 << 20))
    with pytest.raises(AuditUnusable, match="No space left"):
        written(small_disk / "a", 100)
    count = whole(audit)
    assert 1 <= count < 20
    with pytest.raises(AuditUnusable):
        audit.append(an_entry())
    assert whole(audit) == count
    subprocess.run(["mount", "-o", "remount,size=256k", str(small_disk)], check=True)
    assert audit.append(an_entry()).number == count + 1
    assert whole(audit) == count + 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(AuditUnusable, match="cannot be used") as refused:
        audit_in(tmp_path / "a").append(an_entry())
    assert refused.value.code == "audit_unusable"


def new(folder: Path) -> None:
    del folder


def some(folder: Path) -> None:
    written(folder, 2, rotate_bytes=ROTATE)


def nearly_full(folder: Path) -> None:
    written(folder, 4, rotate_bytes=ROTATE)


def torn(folder: Path) -> None:
    some(folder)
    with (folder / "00000001.jsonl").open("ab") as file:
        file.write(b'{"number":3,"prev')


def empty_newest(folder: Path) -> None:
    nearly_full(folder)
    (folder / "00000005.jsonl").touch()


class Killed:
    """Ends this process at one of its steps; of a line, when half of it is written.

    `head` is shorter than a sector and written in place: no kill leaves half of that.
    """

    def __init__(self, fatal: int) -> None:
        self._left = fatal

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                if call.__name__ == "write":
                    fd, data = args
                    call(fd, bytes(data)[: len(data) // 2])
                os._exit(9)
            return call(*args, **kwargs)

        return step


def killed_at(step: int, folder: Path) -> tuple[bool, int]:
    """Whether a process that appends twice was killed there, and how much it acknowledged."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        tell = os.write
        killed = Killed(step)
        for name in STEPS:
            setattr(os, name, killed.counted(getattr(os, name)))
        audit = audit_in(folder, rotate_bytes=ROTATE)
        for _ in range(2):
            audit.append(an_entry(job_id="of the child"))
            tell(write_end, b".")
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as told:
        acknowledged = len(told.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, acknowledged


@pytest.mark.parametrize("begin", tiers([some, torn], new, nearly_full, empty_newest))
def test_a_writer_killed_at_any_step_loses_nothing_it_acknowledged(
    tmp_path: Path, begin: Callable[[Path], None]
) -> None:
    begin(tmp_path / "start")
    before = len(list(audit_in(tmp_path / "start").links()))
    step, was_killed = 0, True
    while was_killed:
        folder = tmp_path / f"step-{step}"
        if (tmp_path / "start").exists():
            shutil.copytree(tmp_path / "start", folder)
        was_killed, acknowledged = killed_at(step, folder)
        audit = audit_in(folder, rotate_bytes=ROTATE)
        link = audit.append(an_entry(job_id="the next"))
        links = list(audit.links())
        assert whole(audit) == link.number == len(links)
        kept = [one.entry.job_id for one in links[before:]].count("of the child")
        assert acknowledged <= kept <= acknowledged + 1
        step += 1
    assert step > 10
