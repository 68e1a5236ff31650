"""Taking the exact working tree and carrying it to the store that jobs restore from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_cloud_agents.domain.job import Origin, Snapshot


class Snapshots(Protocol):
    """The user's repository is never written to: index, refs, stash, config, objects stay as is.

    All methods block (git processes); call them in a thread.
    """

    def locate(self, workspace: str) -> Origin:
        """Find the worktree that holds `workspace`, where in it that is, and what HEAD is there.

        Raises:
            NotAWorktree: no git repository, or a bare one, or the path does not exist.
        """
        ...

    def take(self, origin: Origin) -> Snapshot:
        """Snapshot the tree as it is on disk and carry it to the store, durably.

        Raises:
            RefusedFiles: untracked files look like secrets or are too large; nothing was stored.
            UnreadableTree: git cannot read a path; the message names it.
            NoSpace: the disk is full.
        """
        ...

    def read(
        self, snapshot: Snapshot, paths: Sequence[str], *, limit_bytes: int
    ) -> Mapping[str, bytes]:
        """Content of those of `paths` that are regular files of the snapshot, up to the limit."""
        ...

    def names(self, snapshot: Snapshot) -> frozenset[str]:
        """Every path of the snapshot that is valid UTF-8."""
        ...
