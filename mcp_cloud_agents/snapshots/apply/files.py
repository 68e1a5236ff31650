"""The files of a worktree, reached folder by folder by descriptor: no link is followed on the way.

A path of a patch may lead through a folder that was swapped for a link a moment ago, or through an
ignored one that is in no snapshot; then it is an obstacle, never a way out of the tree.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.apply.steps import LINK, Entry
from mcp_cloud_agents.storage.files import write_all

if TYPE_CHECKING:
    from collections.abc import Generator

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Signature = tuple[int, ...]


class Obstacle(Exception):
    """A path cannot be reached, or holds something that no tree holds; says why."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is at a path now."""

    entry: Entry | None = None
    """None: nothing, or a folder."""
    signature: Signature = ()
    """Changes whenever the file does; empty where there is none."""
    is_folder: bool = False
    behind: str = ""
    """A file that stands where the path has a folder."""


class Files:
    """The files below one folder.

    Args:
        top: of the worktree.
        object_format: `sha1` or `sha256`, for the ids of what is found.
        file_mode: whether the exec bit on disk means anything.
    """

    def __init__(self, top: str, object_format: str, *, file_mode: bool) -> None:
        self.top = top
        self._format = object_format
        self._file_mode = file_mode

    def look(self, path: str) -> Look:
        """What is there now, by its content.

        Raises:
            Obstacle: a link or a nested repository is on the way, or it is no file and no link.
        """
        folder, _, name = path.rpartition("/")
        try:
            with _about(path), self.folder(folder) as fd:
                return self._entry(fd, name)
        except FileNotFoundError:
            return Look()
        except NotADirectoryError:
            return Look(behind=self._file_above(folder))

    def is_as(self, found: Look, wanted: Entry | None) -> bool:
        """Whether what was found is this entry of a tree, or nothing where there is none."""
        if found.entry is None or wanted is None:
            return found.entry is wanted and not found.is_folder
        same_kind = found.entry.mode == wanted.mode or (
            not self._file_mode and LINK not in (found.entry.mode, wanted.mode)
        )
        return same_kind and found.entry.oid == wanted.oid

    def signature(self, path: str) -> Signature:
        """Of what is there now; empty when nothing is."""
        folder, _, name = path.rpartition("/")
        try:
            with self.folder(folder) as fd:
                return _signature(os.lstat(name, dir_fd=fd))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    @contextmanager
    def folder(self, path: str, *, make: bool = False) -> Generator[int]:
        """A descriptor of a folder below the top, each step a real folder.

        Raises:
            Obstacle: a link, or a repository of its own, is on the way.
            FileNotFoundError, NotADirectoryError: there is nothing, or a file.
        """
        fd = os.open(self.top, _FOLDER)
        try:
            done = ""
            for name in filter(None, path.split("/")):
                done = f"{done}/{name}".lstrip("/")
                deeper = _step(fd, name, done, make=make)
                os.close(fd)
                fd = deeper
                if _exists(fd, ".git"):
                    raise Obstacle(f"{done} is a repository of its own")
            yield fd
        finally:
            os.close(fd)

    def nearest(self, path: str) -> str:
        """The deepest folder above `path` that is there."""
        folder = path.rpartition("/")[0]
        while folder:
            with suppress(FileNotFoundError, NotADirectoryError), self.folder(folder):
                return folder
            folder = folder.rpartition("/")[0]
        return ""

    def put(self, folder: str, name: str, entry: Entry, data: bytes, like: str) -> None:
        """A new file or link beside others, durable; permissions and owner as `like`, if it is."""
        old = self._stat(like)
        with _about(like), self.folder(folder, make=True) as fd:
            if entry.mode == LINK:
                os.symlink(data, name.encode(), dir_fd=fd)
                _give_to_owner(fd, name)
                return
            executable = entry.mode == "100755"
            file = os.open(name, _NEW, 0o777 if executable else 0o666, dir_fd=fd)
            try:
                write_all(file, data)
                if os.geteuid() == 0:
                    owner = old or os.fstat(fd)
                    os.fchown(file, owner.st_uid, owner.st_gid)
                if old is not None:
                    os.fchmod(file, self._bits(old, executable=executable))
                os.fsync(file)
            finally:
                os.close(file)

    def move(self, source: tuple[str, str], path: str, *, replace: bool) -> None:
        """Give a new file its name; one that appeared there meanwhile is never replaced.

        Raises:
            FileExistsError: there is something, and `replace` is False.
        """
        folder, _, name = path.rpartition("/")
        with _about(path), self.folder(source[0]) as there, self.folder(folder, make=True) as here:
            if replace:
                os.rename(source[1], name, src_dir_fd=there, dst_dir_fd=here)
                return
            os.link(source[1], name, src_dir_fd=there, dst_dir_fd=here, follow_symlinks=False)
            os.unlink(source[1], dir_fd=there)

    def remove(self, folder: str, name: str) -> None:
        """Remove a file or a link; nothing there is fine."""
        with (
            suppress(FileNotFoundError, NotADirectoryError, Obstacle),
            _about(f"{folder}/{name}".lstrip("/")),
            self.folder(folder) as fd,
        ):
            os.unlink(name, dir_fd=fd)

    def remove_folder(self, path: str) -> bool:
        """Remove a folder when it is empty; whether it is gone."""
        folder, _, name = path.rpartition("/")
        try:
            with self.folder(folder) as fd:
                os.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            return True
        except (OSError, Obstacle):
            return False
        return True

    def sync(self, folder: str) -> None:
        """Make names in a folder durable."""
        with suppress(FileNotFoundError, NotADirectoryError, Obstacle), self.folder(folder) as fd:
            os.fsync(fd)

    def _bits(self, old: os.stat_result, *, executable: bool) -> int:
        """Permissions of the file that is replaced, its exec bits as the tree has them."""
        bits = stat.S_IMODE(old.st_mode) & 0o777
        if not self._file_mode:
            return bits
        return bits | (bits & 0o444) >> 2 if executable else bits & ~0o111

    def _stat(self, path: str) -> os.stat_result | None:
        folder, _, name = path.rpartition("/")
        with (
            suppress(FileNotFoundError, NotADirectoryError, Obstacle),
            self.folder(folder) as fd,
        ):
            found = os.lstat(name, dir_fd=fd)
            return found if stat.S_ISREG(found.st_mode) else None
        return None

    def _entry(self, fd: int, name: str) -> Look:
        found = os.lstat(name, dir_fd=fd)
        if stat.S_ISDIR(found.st_mode):
            return Look(is_folder=True)
        if stat.S_ISLNK(found.st_mode):
            target = os.readlink(name.encode(), dir_fd=fd)
            return Look(Entry(LINK, self._id(target)), _signature(found))
        if not stat.S_ISREG(found.st_mode):
            raise Obstacle("is a pipe, socket or device")
        file = os.open(name, _READ, dir_fd=fd)
        with os.fdopen(file, "rb") as reading:
            before = os.fstat(file)
            digest = hashlib.new(self._format, b"blob %d\0" % before.st_size)
            while data := reading.read(_CHUNK):
                digest.update(data)
            after = os.fstat(file)
        if _signature(before) != _signature(after):
            raise Obstacle("changes while it is read")
        mode = "100755" if before.st_mode & stat.S_IXUSR else "100644"
        return Look(Entry(mode, digest.hexdigest()), _signature(after))

    def _id(self, data: bytes) -> str:
        return hashlib.new(self._format, b"blob %d\0" % len(data) + data).hexdigest()

    def _file_above(self, folder: str) -> str:
        while folder:
            above, _, name = folder.rpartition("/")
            with suppress(NotADirectoryError, FileNotFoundError), self.folder(above) as fd:
                found = os.lstat(name, dir_fd=fd)
                if not stat.S_ISDIR(found.st_mode):
                    return folder
            folder = above
        raise Obstacle("its folders change")


@contextmanager
def _about(path: str) -> Generator[None]:
    """Errors name the path in the worktree; what the system names is one step of the way."""
    try:
        yield
    except OSError as exc:
        exc.filename, exc.filename2 = path, None
        raise


def _give_to_owner(fd: int, name: str) -> None:
    """What root makes in a folder belongs to whom the folder belongs."""
    if os.geteuid() == 0:
        owner = os.fstat(fd)
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=fd, follow_symlinks=False)


def _step(fd: int, name: str, path: str, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=fd)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=fd)
            _give_to_owner(fd, name)
        return os.open(name, _FOLDER, dir_fd=fd)
    except OSError:
        if stat.S_ISLNK(os.lstat(name, dir_fd=fd).st_mode):
            raise Obstacle(f"{path} is a symbolic link") from None
        raise


def _exists(fd: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=fd)
    except FileNotFoundError:
        return False
    return True


def _signature(found: os.stat_result) -> Signature:
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )
