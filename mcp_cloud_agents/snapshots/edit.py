"""The usual resubmit: a few tracked files have other content. Their trees are written here.

The private index is left as it was, so git names these files again next time, and they are hashed
again; until they are so many that git brings the index up to date.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.git import TreeMoved
from mcp_cloud_agents.snapshots.listing import ancestors
from mcp_cloud_agents.snapshots.objects import (
    object_id,
    snapshot_commit,
    tree_entries,
    with_entries,
)
from mcp_cloud_agents.snapshots.pack_file import NewObject
from mcp_cloud_agents.snapshots.private import Memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mcp_cloud_agents.snapshots.git import Running
    from mcp_cloud_agents.snapshots.objects import Kind

_MAX_FILES, _MAX_BYTES = 32, 1 << 20
_LINK, _PLAIN, _EXECUTABLE = b"120000", b"100644", b"100755"


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot, and what of it is in no object store yet."""

    memory: Memory
    objects: tuple[NewObject, ...] = ()
    """What was written here, the commit last; else the private git dir has it all."""


class NotAnEdit(Exception):
    """Git has to look: too much differs, or what kind of file a path is."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the worktree, as it is now."""

    mode: bytes
    data: bytes


def edit(
    known: Memory, changed: Collection[bytes], top: str, *, file_mode: bool, reader: Running
) -> Taken:
    """The snapshot with what `changed` holds now.

    Args:
        known: the last snapshot.
        changed: paths of regular files and links that may differ from it, and of all that differ
            from the index.
        top: of the worktree.
        file_mode: whether the exec bit on disk means anything.
        reader: a `git cat-file --batch -z` that was started and not yet asked.

    Raises:
        NotAnEdit: more differs than content.
        TreeMoved: a file changed while it was read.
    """
    if len(changed) > _MAX_FILES:
        raise NotAnEdit
    files = _read_all(top, changed)
    form = "sha1" if len(known.tree) == 40 else "sha256"
    edited = tuple((p, file.mode, object_id(form, "blob", file.data)) for p, file in files.items())
    same = set(known.edited)
    new = {path: files[path] for path, *seen in edited if (path, *seen) not in same}
    if not new:
        return Taken(known)
    writer = _Writer(form, _Old(known.tree, new, reader), file_mode=file_mode)
    tree = writer.write(new)
    if tree == known.tree:
        return Taken(replace(known, edited=edited))
    commit = snapshot_commit(tree)
    oid = object_id(form, "commit", commit).hex()
    memory = replace(known, tree=tree, commit=oid, edited=edited)
    return Taken(memory, (*writer.objects.values(), NewObject("commit", commit)))


def _read_all(top: str, paths: Iterable[bytes]) -> dict[bytes, _File]:
    files: dict[bytes, _File] = {}
    left = _MAX_BYTES
    for path in paths:
        files[path] = _read(os.path.join(os.fsencode(top), path), left)
        left -= len(files[path].data)
    return files


def _read(path: bytes, limit: int) -> _File:
    """A file or link, whole and at rest."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return _File(_LINK, os.readlink(path))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        raise NotAnEdit from exc  # git names it
    with os.fdopen(fd, "rb") as file:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode) or before.st_size > limit:
            raise NotAnEdit
        data = file.read(limit + 1)
        after = os.fstat(fd)
    if (before.st_size, before.st_mtime_ns) != (len(data), after.st_mtime_ns):
        raise TreeMoved(
            f"{os.fsdecode(path)} changed while it was read.",
            hint="Call again when nothing writes to the worktree.",
        )
    return _File(_EXECUTABLE if before.st_mode & stat.S_IXUSR else _PLAIN, data)


class _Old:
    """What the last snapshot holds at some paths and in the folders above them."""

    def __init__(self, tree: str, paths: Collection[bytes], reader: Running) -> None:
        self.folders = ancestors(paths)
        names = (b"", *sorted(self.folders), *paths)
        top = tree.encode()
        asked = b"".join(b"%s:%s\0" % (top, name) for name in names)
        self._held = dict(zip(names, _contents(reader.output(asked)), strict=True))

    def __getitem__(self, path: bytes) -> bytes:
        return self._held[path]


def _contents(out: bytes) -> Iterator[bytes]:
    """Objects as `cat-file --batch` prints them; all must be there."""
    at = 0
    while at < len(out):
        begin = out.index(b"\n", at) + 1
        head = out[at : begin - 1].rsplit(b" ", 2)
        if len(head) != 3 or not head[2].isdigit():
            raise NotAnEdit
        end = begin + int(head[2])
        yield out[begin:end]
        at = end + 1


class _Writer:
    """Writes trees, the deepest first."""

    def __init__(self, object_format: str, old: _Old, *, file_mode: bool) -> None:
        self.objects: dict[bytes, NewObject] = {}
        self._format = object_format
        self._oid_bytes = hashlib.new(object_format).digest_size
        self._old = old
        self._file_mode = file_mode

    def write(self, files: Mapping[bytes, _File]) -> str:
        """Hex id of the top tree."""
        new: dict[bytes, dict[bytes, tuple[bytes, bytes]]] = {}
        for path, file in files.items():
            folder, _, name = path.rpartition(b"/")
            mode = self._mode(file, self._modes(folder).get(name))
            new.setdefault(folder, {})[name] = mode, self._add("blob", file.data, path)
        for folder in sorted(self._old.folders, key=_depth, reverse=True):
            above, _, name = folder.rpartition(b"/")
            new.setdefault(above, {})[name] = b"40000", self._tree(folder, new[folder])
        return self._tree(b"", new[b""]).hex()

    def _tree(self, folder: bytes, new: Mapping[bytes, tuple[bytes, bytes]]) -> bytes:
        return self._add("tree", with_entries(self._old[folder], self._oid_bytes, new), folder)

    def _add(self, kind: Kind, data: bytes, path: bytes) -> bytes:
        oid = object_id(self._format, kind, data)
        if data != self._old[path]:
            self.objects[oid] = NewObject(kind, data, self._old[path])
        return oid

    def _modes(self, folder: bytes) -> dict[bytes, bytes]:
        return {name: mode for mode, name, _ in tree_entries(self._old[folder], self._oid_bytes)}

    def _mode(self, file: _File, before: bytes | None) -> bytes:
        if before is None or (file.mode == _LINK) is not (before == _LINK):
            raise NotAnEdit
        return file.mode if self._file_mode else before


def _depth(path: bytes) -> int:
    return path.count(b"/")
