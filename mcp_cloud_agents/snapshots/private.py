"""The private git dir of one worktree: own index, own objects, own configuration.

The user's objects are an alternate, and so is our store: what was sent once is never hashed into
the private objects again, and stays readable when the user's `git gc` prunes it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.snapshots.git import PRIVATE_CONFIG, RAW_ATTRIBUTES, Git, private_env
from mcp_cloud_agents.storage.files import read_whole, replace_quickly

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MEMORY = "memory.json"
_KEPT = "refs/undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the last snapshot of this worktree was, to recognise that nothing changed since."""

    fingerprint: str
    """sha256 over all that decides the tree besides the files: index, ignore rules, limits."""
    tree: str
    commit: str
    edited: tuple[tuple[bytes, bytes, bytes], ...]
    """Path, mode and binary id of files that differ from the private index, which was left as it
    is."""
    files: int
    warnings: tuple[str, ...]
    untracked_folders: tuple[bytes, ...]
    """Folders above untracked files: a `.git` in one of them makes it a nested repository."""
    absent: tuple[bytes, ...]
    """Tracked paths that the tree lacks: deleted, or outside a sparse checkout."""
    only_tracked: bool
    """Whether the tree holds no other paths."""
    large: tuple[bytes, ...]
    """Tracked files over the size limit."""
    submodules: bool
    """Whether there are any: their HEADs have to be read each time."""


class PrivateGit:
    """One private git dir. Whoever uses it holds its lock.

    Args:
        folder: the git dir.
        work_tree: top of the user's worktree.
        object_format: `sha1` or `sha256`, as the user's repository has it.
        alternates: object folders to read besides its own.
    """

    def __init__(
        self, folder: str, *, work_tree: str, object_format: str, alternates: Sequence[str]
    ) -> None:
        self.folder = folder
        self.object_format = object_format
        self._alternates = "".join(f"{path}\n" for path in alternates)
        # the cache is made anew when a crash of the machine damaged it, so nothing is synced
        config = (*PRIVATE_CONFIG, ("core.fsync", "none"))
        self._outside = Git(os.path.dirname(folder), private_env(folder), config)
        self.git = Git(work_tree, private_env(folder, work_tree), config)

    def open(self) -> None:
        """Create what is missing; a killed predecessor's index lock is ours to remove."""
        path = os.path.join(self.folder, "objects", "info", "alternates")
        wanted = f"{self.object_format}\n{self._alternates}".encode()
        if read_whole(self._marker) != wanted:
            self.discard()
            self._create(path)
            replace_quickly(self._marker, wanted)
        _remove(self._path("index.lock"))

    def discard(self) -> None:
        """Remove it whole."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def recall(self) -> Memory | None:
        """The last snapshot, unless the index was touched after it was taken."""
        try:
            return msgspec.json.decode(read_whole(self._path(_MEMORY)) or b"", type=Memory)
        except msgspec.MsgspecError:
            return None

    def remember(self, memory: Memory) -> None:
        """Keep the last snapshot."""
        replace_quickly(self._path(_MEMORY), msgspec.json.encode(memory))

    def forget(self) -> None:
        """The index is about to change."""
        _remove(self._path(_MEMORY))

    def start_afresh(self) -> None:
        """Forget the index, keep the objects."""
        self.forget()
        _remove(self._path("index"))

    def tidy(self) -> None:
        """Drop own objects that the alternates have as well."""
        self.git.run("repack", "-a", "-d", "-l", "-q", "--window=0")
        self.git.run("prune-packed", "-q")

    def keep(self, name: str, trees: Sequence[str]) -> None:
        """Hold on to trees, whatever `tidy` drops; written here, a process less to start."""
        folder = self._path(f"{_KEPT}/{name}")
        os.makedirs(folder, exist_ok=True)
        for number, tree in enumerate(trees):
            replace_quickly(os.path.join(folder, f"{number}"), f"{tree}\n".encode())

    def drop(self, names: Iterable[str]) -> None:
        """Let go of them."""
        for name in names:
            shutil.rmtree(self._path(f"{_KEPT}/{name}"), ignore_errors=True)

    @property
    def _marker(self) -> str:
        return self._path("complete")

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _create(self, alternates: str) -> None:
        form = f"--object-format={self.object_format}"
        self._outside.run("init", "-q", "--bare", "--template=", form, self.folder)
        self._outside.run("config", "core.bare", "false")
        os.makedirs(self._path("info"), exist_ok=True)
        replace_quickly(self._path("info/attributes"), RAW_ATTRIBUTES.encode())
        os.makedirs(os.path.dirname(alternates), exist_ok=True)
        replace_quickly(alternates, os.fsencode(self._alternates))


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
