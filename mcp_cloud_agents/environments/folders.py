"""Folders of a snapshot, each read as a tree of its own: names and content relative to it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Read = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Content of those paths that are regular files and not too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder."""

    path: str
    """Relative to the top of the tree; empty: the top itself."""
    names: frozenset[str]
    """Every path below it, relative to it."""
    content: Read
    """Of paths relative to the top."""

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """See `Read`; the paths are relative to this folder."""
        found = self.content([posixpath.join(self.path, path) for path in paths])
        return {
            path: data for path in paths if (data := found.get(posixpath.join(self.path, path)))
        }

    def has(self, path: str) -> bool:
        """Whether a file or a folder of this path is in it."""
        return path in self.names or any(name.startswith(f"{path}/") for name in self.names)


def upwards(folder: str, names: frozenset[str], content: Read) -> tuple[Folder, ...]:
    """The folder and all above it, itself first and the top last.

    Args:
        folder: relative to the top of the tree.
        names: every path of the tree.
        content: reads files of the tree.
    """
    parts = folder.split("/") if folder else []
    paths = ["/".join(parts[:depth]) for depth in range(len(parts), -1, -1)]
    return tuple(Folder(path=path, names=_below(names, path), content=content) for path in paths)


def seen_from(start: Folder, paths: Iterable[str], folders: Sequence[Folder]) -> tuple[str, ...]:
    """Tests as they are called in `start`.

    Args:
        start: where the command starts.
        paths: files, folders or ids, relative to the first of the folders or to the top.
        folders: from `upwards`.
    """
    here, top = folders[0], folders[-1]
    if here is top:
        return tuple(paths)
    return tuple(_seen_from(start, path, here, top) for path in paths)


def plain_paths(paths: Iterable[str], folders: Sequence[Folder]) -> tuple[str, ...]:
    """The same relative to the top, each written in one way: `./a//b` is `a/b`."""
    return tuple(posixpath.normpath(one) for one in seen_from(folders[-1], paths, folders))


def _seen_from(start: Folder, path: str, here: Folder, top: Folder) -> str:
    """An id of a runner that names no file (`package.TestX`) stays what it is."""
    file, mark, test = path.partition("::")
    plain = posixpath.normpath(file)
    for root in (here, top):
        if root.has(plain):
            whole = posixpath.join("/", root.path, plain)
            return posixpath.relpath(whole, posixpath.join("/", start.path)) + mark + test
    return path


def _below(names: frozenset[str], folder: str) -> frozenset[str]:
    if not folder:
        return names
    return frozenset(
        name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")
    )
