"""Private git dirs that nobody uses any more: of worktrees that are gone, or long not sent from.

They are caches: one that is removed too early costs the next snapshot a look at every file.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.snapshots.apply.journal import JOURNAL
from mcp_cloud_agents.snapshots.apply.recovery import was_cut_off
from mcp_cloud_agents.snapshots.tree_snapshots import _key as cache_key
from mcp_cloud_agents.storage.files import read_whole
from mcp_cloud_agents.storage.lock import locked
from mcp_cloud_agents.storage.trees import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.domain.job import JobSpec

_NAME = re.compile(r"[0-9a-f]{32}")
_ASIDE = ".old-"
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCache:
    """A private git dir that stays, and what it needs of our stores."""

    alternates: tuple[str, ...]
    """Folders of objects that it reads besides its own."""
    commit: str | None
    """The last snapshot, which the next one is based on."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """Of `memory.json`, what matters here."""

    commit: str


def remove_old_caches(
    folder: str, specs: Iterable[JobSpec], *, keep_days: float, now: float
) -> tuple[KeptCache, ...]:
    """Remove what is not in use, whose worktree is gone or that was not used for long.

    Safe at any moment: whoever takes a snapshot holds the cache's lock, a cache is moved aside
    under it, and what a killed removal left aside goes with the next.

    Args:
        folder: `snapshots/` of the state folder.
        specs: of the jobs that are kept; they tell which worktree a cache is of.
        keep_days: age of the last use.
        now: seconds since the epoch.

    Returns:
        Those that stay.
    """
    tops = {cache_key(spec.snapshot.origin): spec.snapshot.origin.workspace for spec in specs}
    kept: list[KeptCache] = []
    for name in _names(folder):
        path = os.path.join(folder, name)
        if name.startswith(_ASIDE):
            remove_tree(path)
        elif _NAME.fullmatch(name):
            cache = _read(path)
            old = now - _used_at(path) > keep_days * _DAY_S and not was_cut_off(path)
            if not (old or _is_gone(cache, tops.get(name))) or not _remove(folder, name):
                kept.append(cache)
    return tuple(kept)


def _names(folder: str) -> list[str]:
    """Caches, also those of which only the lock is left."""
    with suppress(FileNotFoundError):
        return sorted({name.removesuffix(".lock") for name in os.listdir(folder)})
    return []


def _read(path: str) -> KeptCache:
    commit = None
    with suppress(msgspec.MsgspecError, OSError):
        data = read_whole(os.path.join(path, "memory.json")) or b""
        commit = msgspec.json.decode(data, type=_Memory).commit
    with suppress(OSError):
        found = read_whole(os.path.join(path, "objects", "info", "alternates")) or b""
        lines = os.fsdecode(found).split("\n")
        return KeptCache(alternates=tuple(filter(None, lines)), commit=commit)
    return KeptCache(alternates=(), commit=commit)


def _used_at(path: str) -> float:
    """When it was last used: its lock was taken, or something in it changed."""
    times = [0.0]
    for one in (f"{path}.lock", path):
        with suppress(OSError):
            times.append(os.stat(one).st_mtime)
    with suppress(OSError), os.scandir(path) as entries:
        times += [entry.stat(follow_symlinks=False).st_mtime for entry in entries]
    return max(times)


def _is_gone(cache: KeptCache, top: str | None) -> bool:
    """Whether its worktree is gone, as far as is known, or the whole repository."""
    missing = not all(map(os.path.isdir, cache.alternates))
    return missing or (top is not None and not os.path.isdir(top))


def _remove(folder: str, name: str) -> bool:
    path, aside = os.path.join(folder, name), os.path.join(folder, f"{_ASIDE}{name}")
    lock = f"{path}.lock"
    try:
        with locked(lock, wait_s=0):
            remove_tree(aside)
            with suppress(FileNotFoundError):  # of some only the lock is left
                os.rename(path, aside)
            remove_tree(f"{path}{JOURNAL}")
            os.unlink(lock)
    except BackendFailed:  # a snapshot is being taken
        return False
    remove_tree(aside)
    return True
