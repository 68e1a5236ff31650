"""What git lists, and what is really on disk at a path; no link is followed on the way."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GITLINK = b"160000"
LISTING = ("ls-files", "-s", "-t", "-z")
"""What `entries` reads."""


class OnDisk(Enum):
    """What a path is on disk."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"
    NOTHING = "nothing"
    """Not there, or something git does not carry: fifo, socket, device."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at one path."""

    kind: OnDisk
    size: int = 0
    readable: bool = True
    """Whether its owner may read it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of an index."""

    mode: bytes
    oid: bytes
    skipped: bool
    """Marked skip-worktree: a sparse checkout leaves it out."""


def fields(out: bytes) -> list[bytes]:
    """The records of a `-z` output."""
    return out.split(b"\0")[:-1]


def joined(records: Iterable[bytes]) -> bytes:
    """Records as input for a `-z --stdin`."""
    return b"".join(record + b"\0" for record in records)


def entries(out: bytes, parsed: dict[bytes, tuple[bytes, Entry]]) -> dict[bytes, Entry]:
    """Paths of `ls-files -s -t -z`; of unmerged ones the first stage.

    Args:
        out: what it printed.
        parsed: by record, kept from listing to listing: those of one snapshot hardly differ.
    """
    found: dict[bytes, Entry] = {}
    for record in fields(out):
        pair = parsed.get(record)
        if pair is None:
            head, path = record.split(b"\t", 1)
            tag, mode, oid, _ = head.split(b" ")
            pair = parsed[record] = path, Entry(mode, oid, tag == b"S")
        found.setdefault(*pair)
    return found


def stale(out: bytes) -> tuple[set[bytes], set[bytes]]:
    """Paths of `diff-files --raw -z` that are gone, and those that may differ."""
    records = fields(out)
    gone: set[bytes] = set()
    other: set[bytes] = set()
    for head, path in zip(records[::2], records[1::2], strict=True):
        (gone if head.endswith(b" D") else other).add(path)
    return gone, other


class Disk:
    """Looks at paths below one folder, never through a symbolic link."""

    def __init__(self, top: str) -> None:
        self._top = os.fsencode(top)
        self._folders: dict[bytes, bool] = {b"": True}

    def look(self, path: bytes) -> Seen:
        """What is at `path` (relative to the top)."""
        if not self._is_folder(path.rpartition(b"/")[0]):
            return Seen(OnDisk.NOTHING)
        try:
            found = os.lstat(os.path.join(self._top, path))
        except OSError:
            return Seen(OnDisk.NOTHING)
        if stat.S_ISREG(found.st_mode):
            return Seen(OnDisk.FILE, found.st_size, bool(found.st_mode & stat.S_IRUSR))
        if stat.S_ISLNK(found.st_mode):
            return Seen(OnDisk.LINK, found.st_size)
        return Seen(OnDisk.FOLDER if stat.S_ISDIR(found.st_mode) else OnDisk.NOTHING)

    def _is_folder(self, path: bytes) -> bool:
        """Whether real folders lead to `path`; a loop, for trees deeper than Python's stack."""
        todo: list[bytes] = []
        while (known := self._folders.get(path)) is None:
            todo.append(path)
            path = path.rpartition(b"/")[0]
        for folder in reversed(todo):
            known = known and self._is_real_folder(folder)
            self._folders[folder] = known
        return known

    def _is_real_folder(self, path: bytes) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self._top, path)).st_mode)
        except OSError:
            return False


def ancestors(paths: Iterable[bytes]) -> set[bytes]:
    """Every folder above one of the paths, the top excepted."""
    found: set[bytes] = set()
    for path in paths:
        folder = path.rpartition(b"/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition(b"/")[0]
    return found
