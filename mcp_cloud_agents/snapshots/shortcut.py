"""When a look at less is enough: nothing changed since the last snapshot, or content alone did."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.listing import Disk, OnDisk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.snapshots.private import Memory

_RULES = frozenset({b".gitignore", b".gitattributes"})
"""Files whose content decides about others."""


def holds(known: Memory, fingerprint: str, top: str) -> bool:
    """Whether the last snapshot still tells which paths there are, but for what git lists.

    A tracked path that was missing and is ignored is in no listing when it comes back.

    Args:
        known: the last snapshot.
        fingerprint: of now.
        top: of the worktree.
    """
    return (
        known.fingerprint == fingerprint
        and not known.submodules
        and not _any_exists(top, known.absent)
    )


def only_content(known: Memory, changed: Iterable[bytes], top: str, *, large: int) -> bool:
    """Whether new content of tracked files is all, so that paths, kinds and warnings stay.

    Args:
        known: the last snapshot, which holds otherwise.
        changed: paths that differ from it; no other was added or removed.
        top: of the worktree.
        large: size in bytes beyond which a file is warned of.
    """
    if not known.only_tracked:
        return False
    disk = Disk(top)
    for path in changed:
        seen = disk.look(path)
        if seen.kind not in (OnDisk.FILE, OnDisk.LINK) or path.rpartition(b"/")[2] in _RULES:
            return False
        if (seen.size > large) is not (path in known.large):
            return False
    return True


def became_nested(top: str, folders: Iterable[bytes]) -> bool:
    """Whether one of the folders is a repository now."""
    return _any_exists(top, (os.path.join(folder, b".git") for folder in folders))


def _any_exists(top: str, paths: Iterable[bytes]) -> bool:
    root = os.fsencode(top)
    return any(os.path.lexists(os.path.join(root, path)) for path in paths)
