"""A job: one run of a subagent on a snapshot; its frozen specification, its states, its steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from mcp_cloud_agents.domain.fix import FixOrder
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Limits
from mcp_cloud_agents.domain.secret import SecretGrant
from mcp_cloud_agents.domain.setup import SetupPlan

JobId = NewType("JobId", str)
SPEC_VERSION = 3
"""2: `folder`, and that of the set-up. A specification of version 1 starts at the top.
3: `secrets` and `deadline_at`; an earlier one has neither."""


class JobState(StrEnum):
    """Where a job is. Tests that fail are a verdict of a job that succeeded."""

    AWAITING_APPROVAL = "awaiting_approval"
    """A person has to agree first; no backend knows of it yet."""
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COLLECTING = "collecting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LOST = "lost"

    @property
    def done(self) -> bool:
        """Whether nothing follows this state."""
        return not _NEXT[self]


_ENDS = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT, JobState.LOST})
_NEXT: dict[JobState, frozenset[JobState]] = {
    JobState.AWAITING_APPROVAL: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.QUEUED: _ENDS | {JobState.STARTING},
    JobState.STARTING: _ENDS | {JobState.RUNNING},
    JobState.RUNNING: _ENDS | {JobState.COLLECTING},
    JobState.COLLECTING: _ENDS | {JobState.SUCCEEDED},
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.TIMED_OUT: frozenset(),
    JobState.LOST: frozenset(),
}


def next_states(state: JobState) -> frozenset[JobState]:
    """The states that can follow `state`."""
    return _NEXT[state]


class Kind(StrEnum):
    """What the worker does with the command: read test reports, only run it, or make it pass."""

    TESTS = "tests"
    COMMAND = "command"
    FIX = "fix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a snapshot was taken; a patch is bound to it."""

    workspace: str
    """Absolute path of the top of the worktree."""
    git_dir: str
    common_dir: str
    base_commit: str | None
    """HEAD when the snapshot was taken; None in a repository without commits."""
    branch: str | None
    dirty: bool
    """Whether the tree differs from HEAD."""
    folder: str = ""
    """Where below the top it was asked for, `/` between the parts; empty: at the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The exact working tree as a parentless git commit; equal trees give equal commits."""

    repository: str
    """Random id of the repository's object store on this machine."""
    object_format: str
    commit: str
    tree: str
    files: int
    sent_bytes: int
    """Bytes of the pack that carried it to the store; 0 when it was there already."""
    origin: Origin
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """All that decides what a job does. Frozen: a changed job is another job.

    `digest` names the work alone (subagent, tree, command, set-up, limits), so that equal work
    is recognised whoever asks for it.
    """

    id: JobId
    agent: str
    kind: Kind
    snapshot: Snapshot
    command: str
    """A shell command line, run by `sh -c` in `folder`."""
    runner: str | None
    """Which test runner's reports to read; None for plain commands."""
    setup: SetupPlan
    limits: Limits
    isolation: IsolationLevel
    """The weakest isolation the job may run under."""
    digest: str
    created_at: float
    """Seconds since the epoch."""
    key: str | None = None
    """The idempotency key it was asked for under."""
    passed_over: tuple[str, ...] = ()
    """Places where it would rather have run, each with what was wrong there."""
    folder: str = ""
    """Where below the top of the tree the command starts; empty: at the top."""
    paths: tuple[str, ...] = ()
    """The tests that were named, relative to the top of the tree: what rules look at."""
    fix: FixOrder | None = None
    """What a job of kind `fix` is asked for besides."""
    secrets: tuple[SecretGrant, ...] = ()
    """What its commands get, by name and reference."""
    deadline_at: float | None = None
    """Seconds since the epoch: it ends by then, wherever it is; None: by its limits alone."""
    version: int = SPEC_VERSION

    def __post_init__(self) -> None:
        """Check what is joined to paths, wherever the specification was read from.

        Raises:
            ValueError: a folder is not inside the tree.
        """
        for folder in (self.folder, self.setup.folder):
            if not is_inside(folder):
                raise ValueError(f"no folder of the tree: {folder[:200]!r}")


def is_inside(folder: str) -> bool:
    """Whether this names a folder of a tree in the plain way: `a/b`, or nothing for the top."""
    plain = not any(part in ("", ".", "..") for part in folder.split("/"))
    return not folder or (plain and "\0" not in folder)
