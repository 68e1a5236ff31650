"""What /proc tells about processes (proc(5)); Linux."""

from __future__ import annotations

import contextlib
import os

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
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything, more parentheses too.
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def rss_bytes(pid: int) -> int:
    """Resident memory, shared pages in full; 0 when the process has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def pss_bytes(pid: int) -> int:
    """Memory with each shared page split among its users; resident memory where it is hidden."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        return rss_bytes(pid)
    return 0


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children
