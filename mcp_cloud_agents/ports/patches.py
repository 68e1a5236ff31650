"""Bringing a job's patch into a worktree. The contract is in `tests/contracts/test_patches.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.applied import Applied, Change, Kinship, Way
    from mcp_cloud_agents.domain.job import JobId, Origin


class Patches(Protocol):
    """All or nothing: a call that raises has changed nothing.

    One that was killed is rolled back by the next call on the worktree, whatever that one asks for,
    or by the next snapshot of it.

    What a change holds is data of a job: bytes, ids, paths, modes and links are checked here. The
    user's index, stash, configuration and hooks are neither written nor run, in any mode; refs and
    objects only by `branch`, which adds one branch. All methods block; call them in a thread.
    """

    def kinship(self, job: Origin, target: Origin) -> Kinship:
        """Whether `target` is the worktree a job was made from, one of its repository, or none."""
        ...

    def apply(self, change: Change, target: Origin, way: Way) -> Applied:
        """Check, or apply. What is in the tree already is no change and no error.

        Raises:
            PatchDamaged: bytes, trees and paths do not fit together, or a path is not safe.
            PatchTooLarge: it has more bytes or paths than are applied.
            PatchConflict: the worktree has changed in the same places (not in a check).
            ProtectedPaths: tools obey some of the paths, and nobody agreed (not in a check).
            BaseMissing: the snapshot it was made on is not on this machine any more.
            BranchUnusable: the branch exists, its name is none, or its files need a conversion.
            UnreadableTree, NoSpace: of the worktree, the state folder.
        """
        ...

    def undo(self, job_id: JobId, target: Origin) -> Applied:
        """Take the job's last apply to this worktree out again; later edits elsewhere stay.

        Raises:
            NothingToUndo: the job was not applied here, or what is needed was cleaned up.
            PatchConflict: the same places were edited since.
            UnreadableTree, NoSpace: as for `apply`.
        """
        ...
