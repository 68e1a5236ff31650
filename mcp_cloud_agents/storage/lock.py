"""A lock between processes, with a deadline; its file tells when it was last taken."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Generator

_WAIT_S = 300.0
_LOOK_EVERY_S = 0.01


@contextmanager
def locked(path: str, *, wait_s: float = _WAIT_S) -> Generator[None]:
    """Hold the lock file `path` (flock): a holder that dies lets go of it.

    Its time of change is when it was last taken. Whoever holds it may remove the file: those who
    wait see that and make a new one.

    Args:
        path: of the file; made when it is missing.
        wait_s: how long to wait for another holder; 0: not at all.

    Raises:
        BackendFailed: somebody else held it all the time.
    """
    deadline = time.monotonic() + wait_s
    pause = threading.Event()
    while (fd := _try(path)) is None:
        if time.monotonic() > deadline:
            raise BackendFailed(
                f"Another process is still working on {path}.",
                hint="Wait until it is done, then call again.",
            )
        pause.wait(_LOOK_EVERY_S)
    try:
        os.utime(fd)
        yield
    finally:
        os.close(fd)


def _try(path: str) -> int | None:
    """The descriptor of the held file; None: it is held by another, or was just removed."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if os.fstat(fd).st_nlink:
        return fd
    os.close(fd)
    return None
