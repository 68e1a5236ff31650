"""The port `Store` in a folder: for tests, and for machines that share a file system.

folder/
  blobs/<key>          one file a blob; folders that hold none are removed
  partial/<random>     what is being written, or was when its writer died
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument, StoreDenied, StoreUnavailable
from mcp_cloud_agents.ports.store import Listed, check_key
from mcp_cloud_agents.storage.downloads import FULL, appearing, no_space
from mcp_cloud_agents.storage.files import write_all
from mcp_cloud_agents.storage.trees import is_plain_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from mcp_cloud_agents.ports.store import Data

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_TRIES = 100
"""How often a folder may be removed by others while we write into it."""
_TAKEN = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY})
_PASSING = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EMFILE})
_DAY_S = 86_400.0
_PIECE = 1 << 20


class FolderStore:
    """Blobs as files; see the port for the contract.

    Every step down is taken without following links, so no key leads out of the folder.

    Args:
        path: of the folder; it is made when something is written.
    """

    def __init__(self, path: str) -> None:
        self.name = os.path.abspath(path)
        self._blobs = os.path.join(self.name, "blobs")
        self._partial = os.path.join(self.name, "partial")
        self._tidied = False

    def put_new(self, key: str, data: Data) -> bool:
        """See the port."""
        return self._write(key, data, replace=False)

    def put(self, key: str, data: Data) -> None:
        """See the port."""
        self._write(key, data, replace=True)

    def get(self, key: str, *, offset: int = 0, limit: int | None = None) -> bytes | None:
        """See the port."""
        fd = self._open(key)
        if fd is None:
            return None
        with _store_errors(self.name), os.fdopen(fd, "rb") as file:
            left = max(0, os.fstat(fd).st_size - offset)  # read() makes room for all it is told
            file.seek(offset)
            return file.read(left if limit is None else min(limit, left))

    def size(self, key: str) -> int | None:
        """See the port."""
        fd = self._open(key)
        if fd is None:
            return None
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def list(self, prefix: str, *, after: str = "") -> tuple[Listed, ...]:
        """See the port."""
        with _store_errors(self.name):
            found = [
                one
                for one in self._below(prefix.rpartition("/")[0])
                if one.key.startswith(prefix) and one.key.encode() > after.encode()
            ]
        return tuple(sorted(found, key=lambda one: one.key.encode()))

    def folders(self, prefix: str) -> tuple[str, ...]:
        """See the port."""
        with _store_errors(self.name):
            try:
                names = os.listdir(self._inside(prefix.rpartition("/")[0]))
            except (FileNotFoundError, NotADirectoryError):
                return ()
            found = [name for name in names if any(self._below(f"{prefix}{name}"))]
        return tuple(sorted(found, key=str.encode))

    def delete(self, keys: Iterable[str]) -> None:
        """See the port."""
        by_folder: dict[str, list[str]] = {}
        for key in keys:
            folder, _, name = check_key(key).rpartition("/")
            by_folder.setdefault(folder, []).append(name)
        with _store_errors(self.name):
            for folder, names in by_folder.items():
                self._remove(folder, names)

    def download(self, key: str, path: str, *, limit: int | None = None) -> bool:
        """See the port."""
        fd = self._open(key)
        if fd is None:
            return False
        with os.fdopen(fd, "rb") as source, appearing(path) as target:
            left = os.fstat(fd).st_size if limit is None else limit
            while left and (piece := source.read(min(left, _PIECE))):
                write_all(target, piece)
                left -= len(piece)
        return True

    def _write(self, key: str, data: Data, *, replace: bool) -> bool:
        *folders, name = check_key(key).split("/")
        with _store_errors(self.name):
            self._make()
            written = self._written(data)
            try:
                return self._place(written, folders, name, replace=replace)
            finally:
                with suppress(FileNotFoundError):  # `put` moved it away
                    os.unlink(written)

    def _place(self, written: str, folders: list[str], name: str, *, replace: bool) -> bool:
        """Give the blob its name; somebody may just be removing an empty folder."""
        for left in reversed(range(_TRIES)):
            folder = -1
            try:
                folder = self._enter(folders, make=True)
                new = _named(written, name, folder, replace=replace)
                os.fsync(folder)
            except FileNotFoundError:
                if not left:
                    raise
            else:
                return new
            finally:
                if folder >= 0:
                    os.close(folder)
        raise AssertionError("the last try returns or raises")

    def _make(self) -> None:
        for folder in (self._blobs, self._partial):
            try:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            except (NotADirectoryError, FileExistsError) as exc:
                raise OSError(errno.EACCES, "is no folder", folder) from exc
        if not self._tidied:
            self._tidied = True
            self._remove_dead()

    def _remove_dead(self) -> None:
        for name in os.listdir(self._partial):
            path = os.path.join(self._partial, name)
            with suppress(FileNotFoundError):
                if time.time() - os.lstat(path).st_mtime > _DAY_S:
                    os.unlink(path)

    def _written(self, data: Data) -> str:
        """A new file with the content, on the disk."""
        path = os.path.join(self._partial, secrets.token_hex(16))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            if isinstance(data, bytes):
                write_all(fd, data)
            else:
                shutil.copyfileobj(data, file, _PIECE)
                file.flush()
            os.fsync(fd)
        return path

    def _enter(self, folders: Iterable[str], *, make: bool = False) -> int:
        """Descriptor of a folder of blobs, reached without following links."""
        fd = os.open(self._blobs, _FOLDER)
        for folder in folders:
            above = fd
            try:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, 0o700, dir_fd=above)
                        os.fsync(above)
                fd = os.open(folder, _FOLDER, dir_fd=above)
            finally:
                os.close(above)
        return fd

    def _open(self, key: str) -> int | None:
        """Descriptor of a blob's file; None when there is none."""
        *folders, name = check_key(key).split("/")
        with _store_errors(self.name):
            try:
                folder = self._enter(folders)
                try:
                    fd = os.open(name, _FILE, dir_fd=folder)
                finally:
                    os.close(folder)
            except (FileNotFoundError, NotADirectoryError):
                return None
            mode = os.fstat(fd).st_mode
            if stat.S_ISREG(mode):
                return fd
            os.close(fd)
            if stat.S_ISDIR(mode):
                return None
            raise OSError(errno.EACCES, "is no file", key)

    def _inside(self, folder: str) -> str:
        if not folder:
            return self._blobs
        return os.path.join(self._blobs, *check_key(folder).split("/"))

    def _below(self, folder: str) -> Iterator[Listed]:
        """Blobs in a folder, at any depth, in no order; links are not followed and not told."""
        top = self._inside(folder)
        if not is_plain_folder(self.name, os.path.relpath(top, self.name)):
            return
        for above, _, names, fd in os.fwalk(top, follow_symlinks=False):
            for name in names:
                with suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        path = os.path.join(above, name)
                        yield Listed(os.path.relpath(path, self._blobs), found.st_size)

    def _remove(self, folder: str, names: Iterable[str]) -> None:
        """Remove blobs of one folder, and it when it is empty then, and those above."""
        folders = folder.split("/") if folder else []
        try:
            fd = self._enter(folders)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            for name in names:
                with suppress(FileNotFoundError, IsADirectoryError):
                    os.unlink(name, dir_fd=fd)
            os.fsync(fd)
        finally:
            os.close(fd)
        for depth in range(len(folders), 0, -1):
            try:
                os.rmdir(os.path.join(self._blobs, *folders[:depth]))
            except OSError:  # not empty, or gone
                return


def _named(written: str, name: str, folder: int, *, replace: bool) -> bool:
    """Let a finished file have its name; whether it has, when it may not replace another."""
    if replace:
        os.rename(written, name, dst_dir_fd=folder)
        return True
    try:
        os.link(written, name, dst_dir_fd=folder)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.EISDIR, "is a folder of other keys", name) from None
        return False
    return True


@contextmanager
def _store_errors(folder: str) -> Generator[None]:
    """Translate the operating system's errors, once, here."""
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            raise no_space(folder) from exc
        if exc.errno in _TAKEN:
            raise InvalidArgument(
                f"A key is the folder of another one, or a link stands in its way: {exc}.",
                hint=f"Use another name, or look at {folder}.",
            ) from exc
        if exc.errno in _PASSING:
            raise StoreUnavailable(
                f"The store {folder} does not answer: {exc.strerror}.",
                hint="Check the disk or the network share it lies on, then call again.",
            ) from exc
        raise StoreDenied(
            f"The store {folder} cannot be used: {exc}.",
            hint="Give yourself read and write permission there, or choose another folder.",
        ) from exc
