"""The tree a job left, made again on our side from the bytes of its patch."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BaseMissing, PatchDamaged
from mcp_cloud_agents.domain.rendering import render

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.applied import Change
    from mcp_cloud_agents.snapshots.git import Git

_INDEX = "apply.index"
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_APPLY = ("apply", "--cached", "--binary", "--whitespace=nowarn", "-")
_MEMORY_BYTES, _FILE_BYTES, _CPU_S = 4 << 30, 1 << 30, 300
"""Of the process that reads the bytes: a few of them may claim to unpack to very many."""


def check_change(change: Change) -> None:
    """Whether what the job says of its patch fits the patch's bytes and the job's snapshot.

    Raises:
        PatchDamaged: it does not.
    """
    patch, snapshot = change.patch, change.snapshot
    if (patch.base_commit, patch.base_tree) != (snapshot.commit, snapshot.tree):
        raise _damaged("it names another base than the job's snapshot")
    named = (patch.tree, snapshot.tree, snapshot.commit, snapshot.origin.base_commit)
    if not all(_OBJECT.fullmatch(one) for one in named if one is not None):
        raise _damaged("it names trees or commits that cannot be")
    if hashlib.sha256(change.data).hexdigest() != patch.sha256:
        raise _damaged("its bytes are not those that the job's result names by sha256")


def job_tree(git: Git, change: Change) -> str:
    """Id of the tree that the bytes make of the snapshot.

    Args:
        git: on the private git dir, which is held.
        change: checked.

    Raises:
        BaseMissing: the snapshot is not here.
        PatchDamaged: they do not apply, or make another tree than the job says.
    """
    index = os.path.join(git.env["GIT_DIR"], _INDEX)
    for stale in (index, f"{index}.lock"):
        if os.path.lexists(stale):
            os.unlink(stale)
    own = replace(git, env={**git.env, "GIT_INDEX_FILE": index})
    if not own.start("read-tree", change.snapshot.tree).said_yes():
        raise _missing(change)
    with own.start(*_APPLY) as applying:
        _confine(applying.process.pid)
        _, said, failed = applying.finish(change.data)
    if failed:
        raise _damaged(f"its bytes do not apply to the job's snapshot: {render(said)[:300]}")
    tree = own.run("write-tree").decode().strip()
    if tree != change.patch.tree:
        raise _damaged("its bytes make another tree than the job's result names")
    return tree


def _confine(pid: int) -> None:
    if sys.platform != "linux":
        return
    for what, most in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CPU, _CPU_S),
    ):
        resource.prlimit(pid, what, (most, most))


def _missing(change: Change) -> BaseMissing:
    return BaseMissing(
        f"The snapshot {change.snapshot.tree[:12]} that the patch was made on is not on this "
        "machine: it was cleaned up, or the job was submitted from another one.",
        hint="Run the job again here, or take the bytes: `mcp-cloud-agents artifact "
        f"{change.job_id} patch.diff --to change.diff`, then `git apply --3way change.diff` on a "
        "clean checkout of the job's base_commit.",
    )


def _damaged(why: str) -> PatchDamaged:
    return PatchDamaged(
        f"The patch cannot be trusted: {why.rstrip('.')}.",
        hint="Nothing was written. Submit the job again.",
        paths=(),
    )
