"""The log of one attempt on the local disk: grows at once, whatever the network does."""

from __future__ import annotations

import errno
import os
import threading

from mcp_cloud_agents.storage.files import write_all

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIMIT = b"\n[cloud-agents] log limit reached; the rest is left out\n"


class Spool:
    """Bytes that were logged; written by one thread, read by any.

    Args:
        path: a file to make.
        cap: bytes of job output kept; what comes after is counted and dropped.

    Attributes:
        left_out_bytes: output that is not in it.
        disk_full: whether some of that is missing because the disk was full.
    """

    def __init__(self, path: str, *, cap: int) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._room = cap
        self._grown = threading.Condition()
        self._told = False
        self.size = 0
        self.left_out_bytes = 0
        self.disk_full = False

    def log(self, data: bytes) -> None:
        """Append output of the job, up to the cap."""
        kept, over = data[: self._room], len(data) - self._room
        self._room -= len(kept)
        if kept:
            self.left_out_bytes += self.append(kept)
        if over > 0:
            if not self._told:
                self._told = True
                self.append(_LIMIT)
            self.left_out_bytes += over

    def append(self, data: bytes) -> int:
        """Append something of ours; how many bytes the disk had no room for."""
        before = os.fstat(self._fd).st_size
        try:
            write_all(self._fd, data)
        except OSError as exc:
            if exc.errno not in _FULL:
                raise
            self.disk_full = True
        with self._grown:
            self.size = os.fstat(self._fd).st_size
            self._grown.notify_all()
        return len(data) - (self.size - before)

    def read(self, offset: int, limit: int) -> bytes:
        """At most `limit` bytes; empty at the end."""
        return os.pread(self._fd, limit, offset)

    def wait_beyond(self, offset: int, timeout_s: float) -> bool:
        """Whether there is more than `offset` bytes, waiting for it at most so long."""
        with self._grown:
            return self._grown.wait_for(lambda: self.size > offset, timeout_s)

    def wake(self) -> None:
        """Let those that wait look again."""
        with self._grown:
            self._grown.notify_all()
