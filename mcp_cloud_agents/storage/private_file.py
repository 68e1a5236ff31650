"""A file that holds a secret: read only where nobody else can have read or written it."""

from __future__ import annotations

import os
import stat

_PRIVATE = 0o077


class NotPrivate(Exception):
    """It cannot be used.

    Attributes:
        why: what is wrong with it.
        hint: what to do.
    """

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def read_private(path: str, *, limit: int) -> bytes:
    """At most `limit` bytes of a regular file of the caller's own; `~/` is the home.

    Raises:
        NotPrivate: it is missing, not the caller's, or others can open it.
    """
    path = os.path.expanduser(path)
    if not os.path.isabs(path):
        raise NotPrivate("the path is not absolute", "Write the whole path.")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise NotPrivate(f"{exc.strerror}", "Make the file, readable for you.") from exc
    try:
        _check(os.fstat(fd), path)
        return os.read(fd, limit)
    finally:
        os.close(fd)


def _check(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotPrivate("it is no regular file", "Name a file that holds the value.")
    if status.st_uid not in (0, os.geteuid()):
        raise NotPrivate("it belongs to somebody else", "Make a file of your own.")
    if status.st_mode & _PRIVATE:
        raise NotPrivate("other users can open it", f"Run: chmod 600 {path}")
