"""What tools answer: the wire shapes, the same JSON in structuredContent and in the text block.

Codex shows a model only the structured part, Claude only the text of an error, so both carry all.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MAX_CHARS = 8_000


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Shape):
    """What went wrong and what to do next."""

    code: str
    message: str
    hint: str
    excerpt: list[str] | None = None
    paths: list[str] | None = None


class Answer(_Shape):
    """The part every answer has."""

    ok: bool = True
    summary: str = ""
    next: str = Field(default="", description="What to call next.")
    error: Problem | None = None


class Cost(_Shape):
    """US dollars, as decimal strings."""

    estimate_usd: str = Field(description="What it will probably cost.")
    worst_usd: str = Field(description="What it costs at most, all attempts and models together.")
    reserved_usd: str = Field(description="Held back for it now.")
    actual_usd: str | None = Field(
        default=None, description="What it did cost; missing while nobody knows."
    )


class ApprovalView(_Shape):
    """What a person was asked before the job may start."""

    answer: str = Field(description="waiting, approved, denied or expired")
    rule: str
    reason: str
    expires_at: str
    answered_by: str | None = None
    why: str | None = None


class IsolationView(_Shape):
    """What was really in force."""

    level: str
    driver: str
    run_network: str
    setup_network: str | None = None
    limits: dict[str, str] = {}
    notes: list[str] = []


class TreeView(_Shape):
    """Which tree the job runs on."""

    tree: str
    base_commit: str | None = None
    branch: str | None = None
    dirty: bool
    files: int
    sent_bytes: int
    warnings: list[str] = []


class LogView(_Shape):
    """The end of the log; untrusted output, quoted as data."""

    cursor: int
    size: int
    tail: str


class PatchView(_Shape):
    """The change a job left."""

    uri: str
    sha256: str
    base: str
    files: int
    insertions: int
    deletions: int
    evidence: str
    paths: list[str] = []
    refused: list[str] = []
    sensitive: list[str] = []


class ArtifactView(_Shape):
    """A file kept from the job."""

    name: str
    uri: str
    size_bytes: int
    media_type: str
    sha256: str


class EvidenceView(_Shape):
    """What was run on the offered change in a fresh sandbox, and what came of it."""

    ran: list[str] = []
    why: list[str] = Field(default=[], description="What keeps it from 'verified'.")
    mended: list[str] = []
    regressions: list[str] = []
    put_back: list[str] = Field(
        default=[], description="Protected files that it changed; they were put back."
    )
    suspicious: list[str] = []


class CandidateView(_Shape):
    """One candidate of a fix."""

    number: int
    engine: str
    model: str | None = None
    stopped: str
    label: str | None = None
    rejected: bool | None = None
    why: list[str] = []
    message: str | None = None
    files: int
    insertions: int
    deletions: int
    spent_usd: str
    model_requests: int


class FixView(_Shape):
    """How a fix ended."""

    outcome: str = Field(description="patch, no_patch, nothing_to_fix or cannot_judge")
    label: str | None = Field(default=None, description="verified, likely or unverified")
    chosen: int | None = None
    failing: list[str] = Field(default=[], description="Tests that failed twice before the change.")
    flaky: list[str] = []
    problem: str | None = None
    evidence: EvidenceView | None = None
    choice: list[str] = Field(default=[], description="How the arbiter chose.")
    candidates: list[CandidateView] = []
    spent_usd: str
    model_requests: int


class JobAnswer(Answer):
    """The result envelope of every tool that is about one job."""

    job_id: str | None = None
    agent: str | None = None
    backend: str | None = None
    state: str | None = None
    done: bool | None = None
    alive_s_ago: float | None = Field(
        default=None, description="Seconds since a job that is not done was last known to live."
    )
    verdict: str | None = Field(default=None, description="passed, failed, incomplete or none")
    tests: dict[str, Any] | None = None
    fix: FixView | None = None
    command: str | None = None
    exit_code: int | None = None
    environment: str | None = None
    cost: Cost | None = None
    approval: ApprovalView | None = None
    isolation: IsolationView | None = None
    tree: TreeView | None = None
    patch: PatchView | None = None
    artifacts: list[ArtifactView] | None = None
    timings_s: dict[str, float] | None = None
    notes: list[str] | None = None
    log: LogView | None = None


class JobLine(_Shape):
    """One job in a list."""

    job_id: str
    agent: str
    state: str
    done: bool
    verdict: str | None = None
    command: str
    workspace: str
    created_at: str


class JobsAnswer(Answer):
    """Jobs, newest first."""

    jobs: list[JobLine] = []


class MatchView(_Shape):
    """A line of the log that holds the searched text."""

    line: int
    offset: int
    text: str
    before: list[str] = []
    after: list[str] = []


class LogAnswer(Answer):
    """A page of a log, or what a search found."""

    job_id: str | None = None
    done: bool | None = None
    offset: int | None = None
    cursor: int | None = Field(default=None, description="Byte offset to read on from.")
    size: int | None = None
    text: str | None = None
    matches: list[MatchView] | None = None


class ArtifactAnswer(Answer):
    """A page of an artifact."""

    job_id: str | None = None
    name: str | None = None
    offset: int | None = None
    next_offset: int | None = None
    size: int | None = None
    encoding: str | None = Field(default=None, description="utf-8 or base64")
    content: str | None = None


class ChangedPathView(_Shape):
    """A path that changes."""

    path: str
    how: str = Field(description="added, modified or deleted")
    insertions: int
    deletions: int


class ApplyAnswer(Answer):
    """What applying a patch changed, or would change."""

    job_id: str | None = None
    mode: str | None = None
    applies: bool | None = Field(
        default=None, description="Whether it applies as it is: no conflict, nothing protected."
    )
    changed: bool | None = Field(default=None, description="Whether this call wrote something.")
    workspace: str | None = None
    files: int | None = None
    insertions: int | None = None
    deletions: int | None = None
    paths: list[ChangedPathView] = []
    conflicts: list[str] = Field(default=[], description="Paths that are in its way, with why.")
    protected: list[str] = Field(
        default=[], description="Changed paths that tools obey: a person has to agree."
    )
    branch: str | None = None
    commit: str | None = None
    undo: str | None = Field(default=None, description="The command that takes it out again.")
    patch_uri: str | None = None
    notes: list[str] = []
