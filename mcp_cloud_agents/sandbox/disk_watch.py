"""How much a running command has written: free space as the cheap trigger, a walk as the answer.

The walk counts what changed since the start (by ctime, which a command cannot set), so nothing
has to be measured before. It runs in slices, so that the output of the command never waits for it,
and by descriptors, so that a link swapped in on the way leads nowhere.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.sandbox.processes import open_files

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    _Level = tuple[int, Generator[os.DirEntry[str]]]
    """An open folder and what is left of its entries."""

_SLICE_S = 0.01
_SPACING = 5.0
"""Between two walks, times what the last one took."""
_ROUTINE_S = 10.0
"""A walk without a trigger: somebody else may have freed what the command took."""
_SMALLEST = 4_096
"""Bytes that any new entry counts as: inodes run out as well."""
_MAX_DEPTH = 100
_CLOCK_TICK_S = 0.02
"""File times come from a clock that is this much behind."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DiskWatch:
    """Watches the growth of folders from now on.

    Args:
        folders: host paths, walked without following links.
        limit_bytes: how much may be added to all of them together.
        routine_s: at least that often they are walked without a trigger.
    """

    def __init__(
        self, folders: Sequence[str], limit_bytes: int, routine_s: float = _ROUTINE_S
    ) -> None:
        devices = {os.stat(folder).st_dev: folder for folder in folders}
        self._folders = tuple(folders)
        self._devices = frozenset(devices)
        self._limit = limit_bytes
        self._since = time.time() - _CLOCK_TICK_S
        self._free = tuple((folder, _free(folder)) for folder in devices.values())
        self._walk: Generator[int] | None = None
        self._walked_s = 0.0
        self._next_at = 0.0
        self._routine_s = routine_s
        self._routine_at = time.monotonic() + routine_s
        self._hidden = False

    def over(self, pids: Sequence[int]) -> bool:
        """Whether the limit is passed, as far as known now. Takes about 10 ms at most.

        Args:
            pids: the command's processes; they may hold files open that have no name any more.
        """
        if self._walk is None:
            if not self._folders or not self._due():
                return False
            self._hidden, self._walked_s = False, 0.0
            self._walk = self._growth(pids)
        began_at = time.monotonic()
        for grown in self._walk:
            if grown > self._limit:
                self._walk.close()
                return True
            if time.monotonic() - began_at > _SLICE_S:
                self._walked_s += time.monotonic() - began_at
                return False
        self._walked_s += time.monotonic() - began_at
        return self._end_walk()

    def _end_walk(self) -> bool:
        now = time.monotonic()
        self._walk = None
        self._next_at = now + _SPACING * self._walked_s
        self._routine_at = now + max(self._routine_s, 2 * _SPACING * self._walked_s)
        # What may not be looked into is held to have grown as much as the disk has shrunk.
        return self._hidden and self._lost() > self._limit

    def _due(self) -> bool:
        now = time.monotonic()
        return now >= self._next_at and (now >= self._routine_at or self._lost() > self._limit)

    def _lost(self) -> int:
        """Bytes that the file systems have less than at the start, whoever took them."""
        return sum(max(0, before - _free(folder)) for folder, before in self._free)

    def _growth(self, pids: Sequence[int]) -> Generator[int]:
        """The total so far, after each entry."""
        total, seen = 0, set[tuple[int, int]]()
        for found in self._entries(pids):
            if found.st_ctime >= self._since and (found.st_dev, found.st_ino) not in seen:
                if found.st_nlink != 1:
                    seen.add((found.st_dev, found.st_ino))
                total += max(found.st_blocks * 512, _SMALLEST)
            yield total

    def _entries(self, pids: Sequence[int]) -> Generator[os.stat_result]:
        for folder in self._folders:
            yield from self._below(os.path.realpath(folder))  # a driver may have moved it
        for found in open_files(pids):
            if found.st_nlink == 0 and found.st_dev in self._devices:
                yield found

    def _below(self, folder: str) -> Generator[os.stat_result]:
        """What lies below a folder, depth first; a stack, since names may nest without end."""
        stack: list[_Level] = []
        try:
            self._push(stack, folder, None)
            while stack:
                fd, entries = stack[-1]
                try:
                    entry = next(entries, None)
                    if entry is None:
                        _close(stack.pop())
                        continue
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        self._push(stack, entry.name, fd)
                except OSError:  # vanished since it was listed
                    continue
        finally:
            for level in stack:
                _close(level)

    def _push(self, stack: list[_Level], name: str, above: int | None) -> None:
        if len(stack) >= _MAX_DEPTH:
            self._hidden = True
            return
        try:
            fd = os.open(name, _FOLDER, dir_fd=above)
        except PermissionError:
            self._hidden = True
        except OSError:  # vanished, or a link now
            pass
        else:
            stack.append((fd, _listed(fd)))


def _listed(fd: int) -> Generator[os.DirEntry[str]]:
    with os.scandir(fd) as entries:
        yield from entries


def _close(level: _Level) -> None:
    fd, entries = level
    entries.close()
    os.close(fd)


def _free(folder: str) -> int:
    """Free bytes of the file system, an inode counted as its smallest file."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bfree * found.f_frsize + found.f_ffree * _SMALLEST
