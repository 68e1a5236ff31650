"""A running bubblewrap: its process tree, its end, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from typing import Any

_REAP_S = 30.0
_MAX_STATUS_BYTES = 65_536


class ConfinedProcess:
    """`ports.sandbox.Confined` over bubblewrap.

    Args:
        process: of bubblewrap itself.
        status: reading end of its `--json-status-fd`, owned from now on. The command does not
            inherit the other end, so it can forge nothing of what is read there.
    """

    def __init__(self, process: subprocess.Popen[bytes], status: int) -> None:
        self._process = process
        self._status = status
        os.set_blocking(status, False)
        self._said = b""
        self._pidfd = os.pidfd_open(process.pid)
        self._init: int | None = None
        self._init_pidfd: int | None = None

    def fileno(self) -> int:
        """See the port."""
        return self._pidfd

    def pids(self) -> tuple[int, ...]:
        """See the port."""
        init = self._first_process()
        return () if init is None else tuple(_tree(init))

    def kill(self) -> None:
        """See the port. The end of the first process of a pid namespace ends all others in it."""
        if self._first_process() is not None and self._init_pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_pidfd, signal.SIGKILL)
        self._process.kill()

    def wait(self) -> int | None:
        """See the port."""
        try:
            self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:  # stuck in the kernel; it cannot be helped from here
            return None
        self._read()
        for fd in (self._status, self._pidfd, self._init_pidfd):
            if fd is not None:
                os.close(fd)
        return next((line["exit-code"] for line in self._lines() if "exit-code" in line), None)

    def _first_process(self) -> int | None:
        """Host pid of the sandbox's first process, once bubblewrap has told it."""
        if self._init is None:
            self._read()
            for line in self._lines():
                if "child-pid" in line:
                    self._hold(int(line["child-pid"]))
        return self._init

    def _hold(self, pid: int) -> None:
        """A pidfd names the process for good; a pid alone may be another's by now."""
        try:
            self._init_pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self._init = pid

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(self._said) < _MAX_STATUS_BYTES:
                data = os.read(self._status, 4_096)
                if not data:
                    return
                self._said += data

    def _lines(self) -> list[dict[str, Any]]:
        """Whole lines only: they arrive in pieces."""
        whole = self._said[: self._said.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found, todo = list[int](), [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += _children(current)
    return found


def _children(pid: int) -> list[int]:
    """Children of all threads of a process (proc(5): /proc/PID/task/TID/children)."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children
