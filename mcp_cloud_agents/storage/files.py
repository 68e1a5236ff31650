"""Small durable files: written whole or not at all, read with a cap."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from threading import get_native_id  # differs between threads, and so between processes
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import NoSpace, StateUnusable

if TYPE_CHECKING:
    from collections.abc import Generator

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO})
_NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG})


@contextmanager
def storage_errors(folder: str) -> Generator[None]:
    """Translate the operating system's errors over the state folder, once, here.

    Raises:
        NoSpace: the disk or the quota is full.
        StateUnusable: no permission, or a read-only file system.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise NoSpace(
                f"No space left on the disk that holds {folder}.",
                hint="Free some space there, or set state_dir to a folder on another disk.",
            ) from exc
        if exc.errno in _DENIED | _NO_FOLDER:
            raise StateUnusable(
                f"The state folder {folder} cannot be written: {exc.strerror}.",
                hint="Give yourself write permission there, or set state_dir to another folder "
                "(environment variable MCP_CLOUD_AGENTS_STATE_DIR).",
            ) from exc
        raise


def write_durably(path: str, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data`: a reader sees the old content or the new, also after a crash."""
    with _replacing(path, mode) as fd:
        write_all(fd, data)
        os.fsync(fd)
    sync_folder(os.path.dirname(path))


def replace_quickly(path: str, data: bytes) -> None:
    """Replace `path` atomically but without waiting for the disk: for hints, not for truths."""
    with _replacing(path, 0o600) as fd:
        write_all(fd, data)


@contextmanager
def _replacing(path: str, mode: int) -> Generator[int]:
    """A file that takes the place of `path` when all went well, and is gone when not."""
    temporary = f"{path}.{get_native_id()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        yield fd
        os.rename(temporary, path)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; a short write is legal and goes on."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: str) -> None:
    """Make renames and new names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_whole(path: str, *, limit: int = 64 << 20) -> bytes | None:
    """Content of a file of ours, None when there is none.

    Raises:
        OSError: it is no regular file, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is no regular file", path)
    with os.fdopen(fd, "rb") as file:
        return file.read(limit)
