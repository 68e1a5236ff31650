"""Limits that the kernel does not hold here: memory and disk, looked at every 50 ms."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import CauseKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Limits

_PAGE = os.sysconf("SC_PAGE_SIZE")
_NEAR = 0.8
"""From this share of the limit on, shared pages are counted right (Pss instead of Rss)."""
_WALK_SPACING = 5.0
"""A walk over the folders may take at most a fifth of the time."""
_MAX_FILES = 500_000


class Watchdog:
    """Looks at one running command.

    Args:
        limits: `memory_mib` of the whole process tree, `disk_mib` of growth.
        disk: host folders whose growth counts.
    """

    def __init__(self, limits: Limits, disk: Sequence[str]) -> None:
        self.peak_memory_mib = 0
        self._memory_bytes = limits.memory_mib << 20
        self._disk = _DiskWatch(disk, limits.disk_mib << 20)

    def look(self, pids: Sequence[int]) -> CauseKind | None:
        """OOM or DISK when a limit is passed now, else None. Usually well under 1 ms."""
        if self._memory_over(pids):
            return CauseKind.OOM
        return CauseKind.DISK if self._disk.over() else None

    def _memory_over(self, pids: Sequence[int]) -> bool:
        used = sum(map(_rss, pids))
        if used > self._memory_bytes * _NEAR:
            # Summed Rss counts shared pages once a process: 250 forked Pythons read as 1 GiB.
            used = sum(map(_pss, pids))
        self.peak_memory_mib = max(self.peak_memory_mib, used >> 20)
        return used > self._memory_bytes


class _DiskWatch:
    """Free space as a cheap trigger, a walk for the answer."""

    def __init__(self, folders: Sequence[str], limit: int) -> None:
        self._folders = tuple(folders)
        self._limit = limit
        self._free = self._look()
        self._before = sum(map(_size, self._folders))
        self._walk_at = 0.0

    def over(self) -> bool:
        if not self._folders or time.monotonic() < self._walk_at:
            return False
        blocks, files = self._look()
        grown = self._free[0] - blocks > self._limit // 4
        if not grown and self._free[1] - files < _MAX_FILES // 4:
            return False
        began_at = time.monotonic()
        used = sum(map(_size, self._folders)) - self._before
        took_s = time.monotonic() - began_at
        self._walk_at = time.monotonic() + _WALK_SPACING * took_s
        return used > self._limit or self._free[1] - files > _MAX_FILES

    def _look(self) -> tuple[int, int]:
        """Free bytes and free inodes of the first folder's file system."""
        if not self._folders:
            return 0, 0
        found = os.statvfs(self._folders[0])
        return found.f_bavail * found.f_frsize, found.f_ffree


def _rss(pid: int) -> int:
    """Resident bytes; 0 when the process has ended (proc(5), statm: second field, pages)."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _pss(pid: int) -> int:
    """Proportional share in bytes; Rss where it may not be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        return _rss(pid)
    return 0


def _size(folder: str) -> int:
    """Bytes on disk below a folder, hard links once, links not followed."""
    total, seen, todo = 0, set[int](), [folder]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    elif found.st_nlink == 1 or found.st_ino not in seen:
                        seen.update((found.st_ino,) if found.st_nlink > 1 else ())
                        total += found.st_blocks * 512
        except OSError:
            continue  # vanished, or not ours to read
    return total
