"""The line of jobs on one machine: tickets in a folder, first come, first served.

A job may run when fewer than `concurrent` living tickets stand before its own. A ticket is a file
named by arrival time and job; its holder keeps a flock on it, so that the ticket of a killed
holder is known to be dead and is swept away by those who wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from mcp_cloud_agents.storage.files import storage_errors


class Ticket:
    """A place in the line, held until `give_back` or the end of the process.

    Args:
        folder: of the line.
        job_id: whose place it is.

    Raises:
        NoSpace: the disk is full.
        StateUnusable: the folder is gone or cannot be written.
    """

    def __init__(self, folder: str, job_id: str) -> None:
        self._folder = folder
        self._name = f"{time.time_ns():020d}-{job_id}"
        with storage_errors(folder):
            self._fd = self._take(os.path.join(folder, self._name))

    @staticmethod
    def _take(path: str) -> int:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)  # swept away between open and flock

    def ahead(self, *, concurrent: int) -> int:
        """How many must end before this one may run; 0: it may run now."""
        before = [name for name in sorted(os.listdir(self._folder)) if name < self._name]
        if len(before) >= concurrent:
            before = [name for name in before if not self._sweep(name)]
        return max(0, len(before) - concurrent + 1)

    def _sweep(self, name: str) -> bool:
        """Remove another's ticket when its holder is dead; whether it was."""
        path = os.path.join(self._folder, name)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return True
        finally:
            os.close(fd)

    def give_back(self) -> None:
        """Leave the line."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._folder, self._name))
        os.close(self._fd)
