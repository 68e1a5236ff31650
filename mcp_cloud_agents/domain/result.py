"""What a job gives back: test cases, verdict, patch, artifacts, cause, isolation."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mcp_cloud_agents.domain.fix import FixReport
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.domain.sandbox import IsolationRecord

RESULT_VERSION = 1


class CauseKind(StrEnum):
    """Why a job did not do its work."""

    SETUP_FAILED = "setup_failed"
    COMMAND_NOT_FOUND = "command_not_found"
    OOM = "oom"
    TIMEOUT = "timeout"
    DISK = "disk"
    CANCELLED = "cancelled"
    SANDBOX_START = "sandbox_start"
    SANDBOX_DIED = "sandbox_died"
    NO_REPORT = "no_report"
    """The tests ended without a report that could be trusted."""
    SUPERVISOR_DIED = "supervisor_died"
    REBOOT = "reboot"
    SPOT_RECLAIMED = "spot_reclaimed"
    HOST_LOST = "host_lost"
    IMAGE_PULL = "image_pull"
    RESOURCE_INITIALIZATION = "resource_initialization"
    """The place could not prepare the container: network, secrets, log, disk."""
    DEPENDENCY = "dependency"
    """A job that this one waited for failed."""
    NOT_PLACED = "not_placed"
    """It waited for a machine until the queue gave up."""
    MODEL_UNUSABLE = "model_unusable"
    """A fix could ask no model: a key or a price is missing."""
    SECRET_UNUSABLE = "secret_unusable"  # noqa: S105  names a cause
    """A secret of the job is missing, empty or denied."""
    NOT_APPROVED = "not_approved"
    """A person said no, or nobody said yes in time."""
    DEADLINE = "deadline"
    """The time for the whole job was over, the wait for a machine included."""
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a job ended without a result, in words a person can act on."""

    kind: CauseKind
    message: str
    hint: str
    excerpt: tuple[str, ...] = ()
    """First lines of what went wrong, rendered, at most 20."""


class Outcome(StrEnum):
    """How one test ended, best first."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    ERROR = "error"


class FailureKind(StrEnum):
    """What sort of failure a test shows."""

    ASSERT = "assert"
    ERROR = "error"
    TIMEOUT = "timeout"
    CRASH = "crash"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """One test as the report tells it. All text is untrusted data, already rendered harmless."""

    id: str
    """The runner's own id, usable to run this test again."""
    outcome: Outcome
    duration_s: float = 0.0
    file: str | None = None
    """Relative to the top of the tree."""
    line: int | None = None
    """1-based line of the failure inside the tree."""
    kind: FailureKind | None = None
    message: str = ""
    details: tuple[str, ...] = ()
    """At most 20 lines of the failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """All that a runner reported, before it is judged.

    `complete` is False when the run ended before the runner closed its report; `unfinished` are
    tests that started and never ended (the suspects of a crash).
    """

    cases: tuple[TestCase, ...] = ()
    complete: bool = False
    unfinished: tuple[str, ...] = ()
    expected: int | None = None
    """How many cases there should be, where the runner tells what it is going to run."""
    problem: str = ""
    """Why there is no usable report; empty when there is one."""


class VerdictOutcome(StrEnum):
    """The judgement over a whole run."""

    PASSED = "passed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    """Tests are missing from the report."""
    NONE = "none"
    """No report, or no test in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many tests; `ran` is passed + failed + errors, skipped ones apart."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failing test, or several with the same message."""

    test: TestCase
    same: int = 1
    """How many tests fail with this message, this one included."""
    also: tuple[str, ...] = ()
    """Ids of up to two others with the same message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tests say, counted from ids in a report and never taken from an exit code."""

    outcome: VerdictOutcome
    counts: Counts
    summary: str
    """One sentence."""
    failures: tuple[Failure, ...] = ()
    """Every failing test (same messages folded, at most 1,000 entries), worst first."""
    slowest: tuple[tuple[str, float], ...] = ()
    """Ids and seconds of the three slowest."""
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file kept from a job, under a name of ours."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the run is; counted from what the tests report, so it is a hint and no evidence."""

    done: int
    failed: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds of each phase, by the monotonic clock."""

    queued_s: float = 0.0
    restore_s: float = 0.0
    setup_s: float = 0.0
    run_s: float = 0.0
    collect_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The worker's last word, written once."""

    job_id: JobId
    spec_digest: str
    state: JobState
    exit_code: int | None
    """Of the command, as the sandbox reports it (128 + n for a signal); None: never started."""
    isolation: IsolationRecord
    cause: Cause | None = None
    verdict: Verdict | None = None
    patch: Patch | None = None
    artifacts: tuple[Artifact, ...] = ()
    timings: Timings = field(default_factory=Timings)
    environment: str = ""
    """How the environment was had: `none`, `cached`, `built`."""
    peak_memory_mib: int | None = None
    notes: tuple[str, ...] = ()
    fix: FixReport | None = None
    """How a job of kind `fix` ended."""
    version: int = RESULT_VERSION
