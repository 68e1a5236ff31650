"""How much memory a running command holds: resident pages as the trigger, shares as the answer.

Resident pages alone say too much of processes that share them, and too little of what is stored in
memory without being mapped: files of the private tmpfs, and memfds.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.sandbox.processes import open_files, rss_bytes, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACING = 5.0
"""Between two exact counts, times what the last one took."""
_INODE_BYTES = 1_024
"""What a file of a tmpfs takes in the kernel beside its content; `--size` does not count it."""


class MemoryWatch:
    """Watches the memory of one process tree from now on.

    Args:
        limit_bytes: of all processes together.
        tmpfs: absolute paths inside of its private tmpfs; no part of them may be the command's to
            replace, since a link there would be followed on the host.

    Attributes:
        peak_bytes: the most seen at once, rather too much than too little.
    """

    def __init__(self, limit_bytes: int, tmpfs: Sequence[str]) -> None:
        self.peak_bytes = 0
        self._limit = limit_bytes
        self._tmpfs = tuple(tmpfs)
        self._memfd_device = _memfd_device()
        self._shared_before = _shared_on_host()
        self._exact_at = 0.0

    def over(self, pids: Sequence[int]) -> bool:
        """Whether the limit is passed now. Usually well under 1 ms."""
        stored = self._in_tmpfs(pids) + self._in_memfds(pids)
        used = sum(map(rss_bytes, pids)) + stored
        if used > self._limit:
            # Not yet too much: 250 forked Pythons of 10 MB, sharing all, read as 1 GiB.
            began_at = time.monotonic()
            if began_at < self._exact_at:
                return False
            own, shared = map(sum, zip(*map(shares, pids), strict=True)) if pids else (0, 0)
            used = own + max(shared, stored)  # a mapped file of a tmpfs is in both
            ended_at = time.monotonic()
            self._exact_at = ended_at + _SPACING * (ended_at - began_at)
        self.peak_bytes = max(self.peak_bytes, used)
        return used > self._limit

    def _in_tmpfs(self, pids: Sequence[int]) -> int:
        """Seen through any process that lets itself be looked at: all have the same root.

        But for the first moments: until the sandbox has its own root, these would be the host's.
        """
        for pid in pids:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/root"), os.stat("/")):
                    continue
                found = [os.statvfs(f"/proc/{pid}/root{path}") for path in self._tmpfs]
                return sum(
                    (one.f_blocks - one.f_bfree) * one.f_frsize
                    + (one.f_files - one.f_ffree) * _INODE_BYTES
                    for one in found
                )
        return 0

    def _in_memfds(self, pids: Sequence[int]) -> int:
        """Looked for only when shared memory of the whole machine has grown much."""
        if _shared_on_host() - self._shared_before < self._limit // 4:
            return 0
        found = {
            (one.st_dev, one.st_ino): one.st_blocks * 512
            for one in open_files(pids)
            if one.st_dev == self._memfd_device
        }
        return sum(found.values())


def _memfd_device() -> int:
    """Number of the kernel's own tmpfs, where memfds are; -1 where there is no such thing."""
    if sys.platform != "linux":
        return -1
    fd = os.memfd_create("device", os.MFD_CLOEXEC)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def _shared_on_host() -> int:
    """Bytes in all tmpfs and memfds of the machine (proc_meminfo(5), Shmem)."""
    with contextlib.suppress(OSError), open("/proc/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"Shmem:"):
                return int(line.split()[1]) << 10
    return 0
