"""Whether set-up commands wrote one of their secrets into the environment, which outlives the job.

Names, targets of links and contents are looked through. What cannot be looked at counts as found:
an environment is kept for other jobs and shown to the run, so doubt is a reason to refuse it.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.redacted_stream import RedactedStream

if TYPE_CHECKING:
    from mcp_cloud_agents.governance.redaction import Redactor

_CHUNK = 1 << 20
_MOST_FILES = 500_000
_MOST_BYTES = 16 << 30
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Doubt(Exception):
    """It is there, or nobody can tell; the message says where and why."""


def left_in(folder: str, redactor: Redactor, *, deadline: float) -> str | None:
    """Where a known value was found, or why that cannot be said; None when there is none.

    Args:
        folder: of the environment; nothing writes to it now.
        redactor: knows the values.
        deadline: by the monotonic clock.
    """
    search = _Search(redactor, deadline)
    try:
        for _, folders, files, fd in os.fwalk(folder, onerror=_unreadable, follow_symlinks=False):
            for name in (*folders, *files):
                search.look(name, fd)
    except _Doubt as exc:
        return str(exc)
    except OSError as exc:
        return f"a part of it cannot be read: {exc.strerror}"
    return None


def _unreadable(exc: OSError) -> None:
    raise exc


class _Search:
    def __init__(self, redactor: Redactor, deadline: float) -> None:
        self._redactor = redactor
        self._deadline = deadline
        self._files = self._bytes = 0

    def look(self, name: str, folder: int) -> None:
        """One entry of a folder."""
        self._files += 1
        if self._files > _MOST_FILES or self._bytes > _MOST_BYTES:
            raise _Doubt("it is too large to be looked through")
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if self._holds(os.fsencode(name)):
            raise _Doubt("in the name of a file")
        if stat.S_ISLNK(found.st_mode):
            if self._holds(os.fsencode(os.readlink(name, dir_fd=folder))):
                raise _Doubt(f"in the link {self._told(name)}")
        elif stat.S_ISREG(found.st_mode):
            self._read(name, folder)

    def _read(self, name: str, folder: int) -> None:
        looking = RedactedStream(self._redactor, lambda _: None)
        fd = os.open(name, _FLAGS, dir_fd=folder)
        try:
            while data := os.read(fd, _CHUNK):
                if time.monotonic() > self._deadline:
                    raise _Doubt("the time to look through it was over")
                self._bytes += len(data)
                looking.feed(data)
        finally:
            os.close(fd)
        looking.close()
        if looking.found:
            raise _Doubt(f"in the file {self._told(name)}")

    def _holds(self, data: bytes) -> bool:
        return bool(self._redactor.spans(data))

    def _told(self, name: str) -> str:
        return ascii(name)[1:-1][:200]
