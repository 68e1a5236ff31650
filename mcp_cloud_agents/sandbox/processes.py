"""What /proc tells about processes (proc(5)); Linux."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> tuple[int, ...]:
    """Host pids of all processes below this one, itself not among them."""
    found: list[int] = []
    todo = _children(pid)
    while todo:
        current = todo.pop()
        found.append(current)
        todo += _children(current)
    return tuple(found)


def parent(pid: int) -> int | None:
    """Pid of the parent; None when there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def sleeps_with_child(pid: int) -> bool:
    """Whether the process has a child and sleeps: where it does nothing else, it waits for it."""
    return bool(_children(pid)) and _stat(pid)[:1] == [b"S"]


def users_processes(uid: int) -> tuple[int, ...]:
    """Pids of all processes whose user this is; those that have ended are none."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and _real_user(int(name)) == uid:
                found.append(int(name))
    return tuple(found)


def rss_bytes(pid: int) -> int:
    """Resident memory, shared pages in full; 0 when the process has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def shares(pid: int) -> tuple[int, int]:
    """Bytes of memory with each shared page split among its users: its own, and of shared files.

    Resident memory stands in where the process does not let itself be looked at.
    """
    found = {b"Pss:": 0, b"Pss_Shmem:": 0}
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                name, *rest = line.split()
                if name in found:
                    found[name] = int(rest[0]) << 10
    except OSError:
        return rss_bytes(pid), 0
    return found[b"Pss:"] - found[b"Pss_Shmem:"], found[b"Pss_Shmem:"]


def open_files(pids: Sequence[int]) -> Generator[os.stat_result]:
    """The regular files that processes hold open, as far as they let themselves be looked at."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    found = os.stat(f"/proc/{pid}/fd/{fd}")
                    if stat.S_ISREG(found.st_mode):
                        yield found


def _real_user(pid: int) -> int | None:
    """From the status: the owner of /proc/PID is root for processes that hide their memory."""
    with open(f"/proc/{pid}/status", "rb") as file:
        lines = dict(line.split(b":", 1) for line in file)
    return None if lines[b"State"].split()[0] in (b"Z", b"X") else int(lines[b"Uid"].split()[0])


def _stat(pid: int) -> list[bytes]:
    """Fields from the state on; none when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything, more parentheses too.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children
