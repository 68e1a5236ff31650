"""A small process that ends what the emulator's tasks leave behind, even when it was killed itself.

It reads its standard input: `+PID` for a new task, `-PID MARK` for one that ended. The end of the
input is the end of the emulator, by whatever cause, and then of every task. What left its process
group is found by the mark in its environment, where there is a /proc.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SWEEP_S = 0.5


class Warden:
    """The emulator's side.

    Args:
        mark: begins the marks of all tasks.
        root: folder of all tasks, removed in the end.
    """

    def __init__(self, mark: str, root: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, mark, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )

    def guard(self, pid: int) -> None:
        """A task began."""
        self._tell(f"+{pid}\n")

    def release(self, pid: int, mark: str) -> None:
        """A task ended; what it left behind ends too."""
        self._tell(f"-{pid} {mark}\n")

    def close(self) -> None:
        """End all that is left, and the warden."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def watch(mark: str, root: str) -> None:
    """The warden's own life."""
    groups: set[int] = set()
    ended: set[str] = set()
    rest, due = b"", 0.0
    while True:
        left = max(0.0, due - time.monotonic()) if ended else None
        if not select.select([0], [], [], left)[0]:
            sweep(ended)
            ended.clear()
            continue
        if not ended:
            due = time.monotonic() + _SWEEP_S
        data = os.read(0, 65_536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            pid, _, name = line[1:].decode().partition(" ")
            if line[:1] == b"+":
                groups.add(int(pid))
            else:
                groups.discard(int(pid))
                ended.add(name)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    sweep({mark})
    shutil.rmtree(root, ignore_errors=True)


def sweep(marks: Iterable[str]) -> None:
    """SIGKILL to every process that carries one of the marks, until none is found."""
    wanted = [mark.encode() for mark in marks]
    for _ in range(10):
        found = [pid for pid in _processes() if _carries(pid, wanted)]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _processes() -> list[int]:
    with suppress(FileNotFoundError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return []


def _carries(pid: int, marks: Iterable[bytes]) -> bool:
    if pid == os.getpid():
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        return False
    return any(mark in environment for mark in marks)


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2])
