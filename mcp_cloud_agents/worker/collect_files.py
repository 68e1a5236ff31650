"""Files a job leaves for keeping: opened without following anything, copied under names of ours."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.result import Artifact
from mcp_cloud_agents.storage.files import write_all

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file to keep."""

    path: str
    """Relative to the root, `/` between the parts; untrusted."""
    name: str
    """The artifact's name: ours, a plain file name."""
    media_type: str
    description: str = ""


class NotKept(Exception):
    """The file may not be kept; the message says why."""


def collect_files(
    root: int, wanted: Sequence[Wanted], folder: str, *, limit_bytes: int
) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """Copy files that a job left.

    Args:
        root: descriptor of the folder the paths start at.
        wanted: what to keep; a path where nothing is, is passed over in silence.
        folder: where to put the copies.
        limit_bytes: of each file.

    Returns:
        The artifacts, and a note on each file that was there and was not kept.
    """
    kept: list[Artifact] = []
    notes: list[str] = []
    for one in wanted:
        try:
            kept.append(_collect(root, one, folder, limit_bytes))
        except FileNotFoundError:
            continue
        except (OSError, NotKept) as exc:
            notes.append(f"Not kept: {render_text(one.path)[:200]} ({_why(exc)}).")
    return tuple(kept), tuple(notes)


def open_inside(root: int, path: str) -> int:
    """Descriptor of a regular file with one name, below `root`, no link followed on the way.

    Raises:
        NotKept: it is no such file, or the path leaves the root.
        OSError: it cannot be opened.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise NotKept("unsafe path")
    folder = os.dup(root)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            step = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = step
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        return _checked(os.open(parts[-1], flags, dir_fd=folder))
    finally:
        os.close(folder)


def _checked(fd: int) -> int:
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return fd
    os.close(fd)
    linked = stat.S_ISREG(found.st_mode)
    raise NotKept("more than one hard link" if linked else "not a regular file")


def _collect(root: int, one: Wanted, folder: str, limit: int) -> Artifact:
    target = os.path.join(folder, one.name)
    with os.fdopen(open_inside(root, one.path), "rb") as source:
        try:
            sha256, size = _copy(source.fileno(), target, limit)
        except BaseException:
            _remove(target)
            raise
    return Artifact(
        name=one.name,
        media_type=one.media_type,
        size_bytes=size,
        sha256=sha256,
        description=one.description,
    )


def _copy(source: int, target: str, limit: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as kept:
        while data := os.read(source, _CHUNK):
            size += len(data)
            if size > limit:
                raise NotKept(f"more than {limit} bytes")
            digest.update(data)
            write_all(kept.fileno(), data)
        os.fsync(kept.fileno())
    return digest.hexdigest(), size


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _why(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return str(exc)
