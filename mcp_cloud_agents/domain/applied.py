"""Applying a job's patch: what is asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mcp_cloud_agents.domain.job import JobId, Snapshot
from mcp_cloud_agents.domain.patch import Patch


class ApplyMode(StrEnum):
    """Where a patch goes."""

    CHECK = "check"
    """Nowhere: what would change is told."""
    BRANCH = "branch"
    """A commit on a new branch; working tree and index stay as they are."""
    WORKTREE = "worktree"
    """The files of the working tree, whatever else is changed there."""


class Kinship(StrEnum):
    """What the worktree that a job was made from is to another one."""

    SAME = "same"
    SIBLING = "sibling"
    """Another worktree or clone of the same repository."""
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A patch with its bytes, and the snapshot that it was made on."""

    job_id: JobId
    snapshot: Snapshot
    patch: Patch
    data: bytes = field(repr=False)
    """Of the artifact `patch.diff`; their sha256 is the patch's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How it is applied."""

    mode: ApplyMode
    branch: str = ""
    """Name of the new branch; empty: `cloud-agents/` and the job's id."""
    allow_protected: bool = False
    """Whether a person lets the patch change paths that tools obey."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPath:
    """One path that changes."""

    path: str
    how: str
    """`added`, `modified` or `deleted`."""
    insertions: int = 0
    deletions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done, or would be."""

    job_id: JobId
    mode: ApplyMode
    workspace: str
    """Top of the worktree."""
    done: bool
    """Whether something was written by this call."""
    paths: tuple[ChangedPath, ...] = ()
    conflicts: tuple[tuple[str, str], ...] = ()
    """Paths that keep it from being applied, each with why; only of a check."""
    protected: tuple[tuple[str, str], ...] = ()
    """Changed paths that need a person's word, each with why."""
    branch: str | None = None
    commit: str | None = None
    can_undo: bool = False
    notes: tuple[str, ...] = ()

    @property
    def insertions(self) -> int:
        """Lines, of text files."""
        return sum(path.insertions for path in self.paths)

    @property
    def deletions(self) -> int:
        """Lines, of text files."""
        return sum(path.deletions for path in self.paths)
