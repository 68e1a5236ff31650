"""A lock between processes, with a deadline."""

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

    Raises:
        BackendFailed: somebody else held it all the time.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(fd, path, time.monotonic() + wait_s)
        yield
    finally:
        os.close(fd)


def _acquire(fd: int, path: str, deadline: float) -> None:
    pause = threading.Event()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BackendFailed(
                    f"Another process is still working on {path}.",
                    hint="Wait until it is done, then call again.",
                ) from None
            pause.wait(_LOOK_EVERY_S)
        else:
            return
