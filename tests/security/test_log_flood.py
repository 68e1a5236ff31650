"""A job that floods its log, or that tries to take back what it said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.storage.folder_desk import FolderDesk
from mcp_cloud_agents.storage.job_folder import JobFolder
from mcp_cloud_agents.worker.run import Ran, Watch, run
from tests.sandbox_box import PYTHON, Box

CAP = 100_000
MARK = b"\n[cloud-agents] log limit reached; the rest is left out\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[FolderDesk]:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    desk = FolderDesk(JobFolder(str(tmp_path)), lock, log_cap=CAP)
    yield desk
    os.close(desk._log)
    os.close(lock)


def into(desk: FolderDesk, box: Box, *argv: str, timeout_s: float = 60) -> Ran:
    watch = Watch(timeout_s=timeout_s)
    return run(box.sandbox, argv, box.confinement(), sink=desk.log, watch=watch)


def test_attack_flood_the_log(box: Box, desk: FolderDesk, tmp_path: Path) -> None:
    ran = into(desk, box, "/usr/bin/yes", timeout_s=0.5)
    assert ran.stopped is CauseKind.TIMEOUT
    assert (tmp_path / "log").read_bytes() == (b"y\n" * CAP)[:CAP] + MARK
    assert desk.left_out_bytes > 0


def test_a_job_past_its_log_limit_is_not_held_up(
    box: Box, desk: FolderDesk, tmp_path: Path
) -> None:
    ran = into(desk, box, "/bin/sh", "-c", "head -c 20M /dev/zero; exit 3")
    assert (ran.exit_code, ran.stopped) == (3, None)
    assert (tmp_path / "log").stat().st_size == CAP + len(MARK)
    assert desk.left_out_bytes == (20 << 20) - CAP


def test_attack_take_back_what_was_said(box: Box, desk: FolderDesk, tmp_path: Path) -> None:
    code = """
import os
print("said", flush=True)
for name in ("1", "2"):
    for act in (
        lambda fd: os.ftruncate(int(fd), 0),
        lambda fd: os.lseek(int(fd), 0, os.SEEK_SET),
        lambda fd: os.pwrite(int(fd), b"forged", 0),
        lambda fd: os.truncate(f"/proc/self/fd/{fd}", 0),
    ):
        try:
            act(name)
        except OSError:
            continue
        print("done", act)
"""
    ran = into(desk, box, PYTHON, "-I", "-c", code)
    assert ran.exit_code == 0
    assert (tmp_path / "log").read_bytes() == b"said\n"
