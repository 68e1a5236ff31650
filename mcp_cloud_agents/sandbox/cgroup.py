"""Hard limits on memory and processes where this process may make control groups.

The usual case is root (version 1 hierarchies, or version 2), or a user's own systemd slice with
delegated controllers (version 2). Elsewhere there is none, and the watchdog polls. What was
written is read back, so a group that is returned is one that holds. Version 1 was run; version 2
is written from the kernel's documentation (cgroup-v2.rst) and was not run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Limits

_MOUNT = "/sys/fs/cgroup"
_OWN_PROCESSES = 8
"""Of bubblewrap and what starts it, beside the command's."""
_PREFIX = "mca-"
_TRIES = 5
_COUNT = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A folder to make below `parent`, with the settings it gets."""

    parent: str
    settings: tuple[tuple[str, str], ...]
    optional: tuple[tuple[str, str], ...] = ()
    """Files that a kernel without swap accounting lacks."""
    events: str = ""
    """The file that counts processes killed for memory."""


def plan(membership: str, limits: Limits) -> tuple[Part, ...]:
    """Where the groups go and what is written there; pure.

    Args:
        membership: content of /proc/self/cgroup.
        limits: what the command may use.
    """
    paths = {
        name: path
        for _, names, path in (line.split(":", 2) for line in membership.splitlines())
        for name in names.split(",")
    }
    memory, pids = str(limits.memory_mib << 20), str(limits.processes + _OWN_PROCESSES)
    if "memory" in paths and "pids" in paths:
        return (
            Part(
                parent=_below(f"{_MOUNT}/memory", paths["memory"]),
                settings=(("memory.limit_in_bytes", memory),),
                optional=(("memory.memsw.limit_in_bytes", memory),),
                events="memory.oom_control",
            ),
            Part(parent=_below(f"{_MOUNT}/pids", paths["pids"]), settings=(("pids.max", pids),)),
        )
    # Version 2: a group with processes has no children with limits, so it becomes a sibling.
    return (
        Part(
            parent=_below(_MOUNT, os.path.dirname(paths.get("", "/"))),
            settings=(("memory.max", memory), ("memory.oom.group", "1"), ("pids.max", pids)),
            optional=(("memory.swap.max", "0"),),
            events="memory.events",
        ),
    )


def make(limits: Limits) -> Cgroup | None:
    """A fresh group with these limits; None where none can be made."""
    group = Cgroup()
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            parts = plan(file.read(), limits)
        for part in parts:
            group.add(part)
    except (OSError, ValueError):
        group.remove()
        return None
    return group


class Cgroup:
    """Folders that limit one command together; made before it starts, removed after its end."""

    def __init__(self) -> None:
        self._folders: list[str] = []
        self._locks: list[int] = []
        self._events: list[str] = []

    def add(self, part: Part) -> None:
        """Make one folder.

        Raises:
            OSError: it cannot be made, or the controller is not there.
            ValueError: the limit was not taken.
        """
        _sweep(part.parent)
        folder, lock = _make_held(part.parent)
        self._folders.append(folder)
        self._locks.append(lock)
        for name, value in part.settings:
            _set(os.path.join(folder, name), value)
        for name, value in part.optional:
            with contextlib.suppress(FileNotFoundError):
                _set(os.path.join(folder, name), value)
        if part.events:
            self._events.append(os.path.join(folder, part.events))

    def joining(self, argv: Sequence[str]) -> list[str]:
        """`argv` behind a shell that enters the group first: no moment outside, no race."""
        steps = ['echo 0 > "$1"', "shift"] * len(self._folders)
        files = [_entrance(folder) for folder in self._folders]
        return ["/bin/sh", "-c", " && ".join((*steps, 'exec "$@"')), "sh", *files, *argv]

    def oom_killed(self) -> bool:
        """Whether the kernel ended a process of the group for memory."""
        return any(_kills(path) for path in self._events)

    def remove(self) -> None:
        """Let the folders go; what cannot go yet is swept by a later command."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        for lock in self._locks:
            os.close(lock)
        self._folders, self._locks, self._events = [], [], []


def _below(mount: str, path: str) -> str:
    return os.path.join(mount, path.lstrip("/")).rstrip("/")


def _entrance(folder: str) -> str:
    """The file that moves whoever writes 0 to it.

    The shell has one thread, so `tasks` of version 1 moves all of it, and without the lock over
    all processes of the machine that `cgroup.procs` waits for (8 to 20 ms; Linux 5.6 and later).
    """
    tasks = os.path.join(folder, "tasks")
    return tasks if os.path.exists(tasks) else os.path.join(folder, "cgroup.procs")


def _set(path: str, value: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # never creates: no file, no controller
    try:
        os.write(fd, value.encode())
        taken = os.pread(fd, 64, 0).decode().strip()
    finally:
        os.close(fd)
    if taken != value:
        raise ValueError(f"{path}: {taken} instead of {value}")


def _kills(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in file)
    except OSError:
        return False


def _make_held(parent: str) -> tuple[str, int]:
    """A new folder, locked for as long as this process lives: whoever locks it finds it left."""
    for _ in range(_TRIES):
        folder = os.path.join(parent, f"{_PREFIX}{os.getpid()}-{next(_COUNT)}")
        os.mkdir(folder)
        lock = _try_lock(folder)
        if lock is not None and os.path.exists(folder):
            return folder, lock
        if lock is not None:  # swept before it was locked
            os.close(lock)
    raise OSError(errno.EAGAIN, "others remove each group at once", parent)


def _try_lock(folder: str) -> int | None:
    """A descriptor that holds the folder's lock; None when another holds it, or it is gone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _sweep(parent: str) -> None:
    """Remove the groups of supervisors that were killed before they could, and what lives there."""
    for name in os.listdir(parent):
        if not name.startswith(_PREFIX):
            continue
        folder = os.path.join(parent, name)
        lock = _try_lock(folder)
        if lock is None:
            continue
        with contextlib.suppress(OSError):
            _end_all(folder)
            os.rmdir(folder)  # too early for who was just killed: the next one sweeps again
        os.close(lock)


def _end_all(folder: str) -> None:
    with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as file:
        for pid in map(int, file):
            if pid > 0:  # 0: not of this pid namespace; as an argument of kill, our own group
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
