"""Three-way merge of trees in the private git dir: no working tree, no user's merge driver."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.snapshots.git import failure
from mcp_cloud_agents.snapshots.listing import fields
from mcp_cloud_agents.snapshots.objects import object_id, snapshot_commit
from mcp_cloud_agents.storage.files import replace_quickly

if TYPE_CHECKING:
    from mcp_cloud_agents.snapshots.git import Git

_CONFIG = ("-c", "merge.directoryRenames=false")
_MERGE = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
_MADE_UP = re.compile(rb"~[0-9a-f]{40,64}(?:_[0-9]+)?$")
"""What git adds to a file's name when the other side has a folder there."""
EDITED = "changed in the same place"


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of it."""

    tree: str
    """With conflict markers when there are conflicts: of no use then."""
    conflicts: tuple[tuple[str, str], ...]
    """Paths, each with why."""


def merge(git: Git, *, base: str, ours: str, theirs: str) -> Merged:
    """What changed from `base` to `theirs`, brought into `ours`; all three are trees.

    Args:
        git: on the private git dir, which is held.
        base: a tree.
        ours: a tree.
        theirs: a tree.
    """
    root = _commit(git, base)
    sides = [_commit(git, tree, parent=root) for tree in (ours, theirs)]
    out, err, code = git.start(*_CONFIG, *_MERGE, *sides).finish()
    if code not in (0, 1):
        raise failure("merge-tree", err)
    tree, *paths = fields(out)
    named = dict.fromkeys(_MADE_UP.sub(b"", path) for path in paths if code and path)
    conflicts = tuple((render(path), EDITED) for path in named)
    return Merged(tree.decode(), conflicts)


def _commit(git: Git, tree: str, *, parent: str = "") -> str:
    """A commit of a tree, written here as a loose object: three processes less to start."""
    body = snapshot_commit(tree)
    if parent:
        head, rest = body.split(b"\n", 1)
        body = b"%s\nparent %s\n%s" % (head, parent.encode(), rest)
    oid = object_id("sha1" if len(tree) == 40 else "sha256", "commit", body).hex()
    path = os.path.join(git.env["GIT_DIR"], "objects", oid[:2], oid[2:])
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replace_quickly(path, zlib.compress(b"commit %d\0" % len(body) + body, 1))
    return oid
