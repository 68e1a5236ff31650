"""What Batch says and what the worker wrote, as one status; pure.

The worker's word goes first, where it is of the attempt under way; Batch fills in what the worker
cannot know: the wait before it, and an end without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_cloud_agents.backends.aws_batch.causes import cause_of
from mcp_cloud_agents.backends.aws_batch.rates import END_S
from mcp_cloud_agents.backends.aws_batch.seen import Attempt as SeenAttempt
from mcp_cloud_agents.backends.aws_batch.seen import Rank, Seen
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind, JobResult
from mcp_cloud_agents.domain.status import Attempt, JobStatus
from mcp_cloud_agents.storage.job_objects import StoredState

STARTS_WITHIN_S = 60.0
"""A submit that was killed in between leaves a job that nobody starts; after this it is lost."""
_AGAIN = "Submit the work again: same arguments, fresh=true."
_CANCELLED = Cause(
    kind=CauseKind.CANCELLED,
    message="The job was cancelled before it was started.",
    hint="Submit it again when it is wanted.",
)
_NEVER_STARTED = Cause(
    kind=CauseKind.SUPERVISOR_DIED,
    message="The job was prepared, but never came to AWS Batch.",
    hint=_AGAIN,
)
_FORGOTTEN = Cause(
    kind=CauseKind.SUPERVISOR_DIED,
    message="AWS Batch does not know the job any more, and its worker left no result.",
    hint=_AGAIN,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that was found out about one job."""

    created_at: float
    """Of its specification."""
    batch: Seen | None
    """None: Batch has no such job."""
    stored: StoredState | None = None
    result: JobResult | None = None
    cancel_asked: bool = False
    strays: Sequence[str] = ()
    waiting: str = ""


def status_of(known: Known, *, now: float) -> JobStatus:
    """The status; times never go back, whatever clocks they come from."""
    status = _status_of(known, now)
    return replace(status, attempts=_billed(known, status)) if status.state.done else status


def _billed(known: Known, status: JobStatus) -> tuple[Attempt, ...] | None:
    """What a job that is done is billed for, as far as Batch and the worker tell it."""
    batch, stored = known.batch, known.stored
    ended = [] if batch is None else list(map(_attempt, batch.attempts))
    if batch is not None and batch.rank.final and ended:
        return tuple(ended)
    if stored is not None:
        earlier = [*ended, *([Attempt()] * stored.attempt)][: stored.attempt - 1]
        return (*earlier, *(ended[stored.attempt - 1 :] or [_last(stored, batch, status)]))
    if batch is not None and batch.rank.final:  # perhaps ended while its image was pulled
        at = batch.stopped_at or batch.created_at
        return (Attempt(started_at=batch.started_at or at, stopped_at=at),)
    return () if status.state is JobState.CANCELLED else None


def _attempt(one: SeenAttempt) -> Attempt:
    return Attempt(started_at=one.started_at, stopped_at=one.stopped_at)


def _last(stored: StoredState, batch: Seen | None, status: JobStatus) -> Attempt:
    """The worker said that it is done, and Batch has not said so yet."""
    started_at = stored.status.history[0][1]
    if batch is not None and batch.started_at and len(batch.attempts) == stored.attempt - 1:
        started_at = min(started_at, batch.started_at)
    stopped_at = max(stored.heartbeat_at, status.history[-1][1]) + END_S
    return Attempt(started_at=started_at, stopped_at=stopped_at)


def _status_of(known: Known, now: float) -> JobStatus:
    stored, batch = known.stored, known.batch
    if stored is not None and stored.status.state.done:
        return _ordered(known, stored.status)
    if known.result is not None:
        return _told_by_result(known, known.result, now)
    if batch is None:
        return _unknown_to_batch(known, now)
    if batch.rank.final:
        state, cause = cause_of(batch, cancel_asked=known.cancel_asked, strays=known.strays)
        at = batch.stopped_at or now
        return _ended(known, state, cause, at)
    if stored is not None and _is_current(stored, batch):
        if stored.status.state is JobState.QUEUED:  # its worker has begun, and done no step yet
            return _before_the_worker(known, batch)
        return replace(_ordered(known, stored.status), waiting="")
    return _before_the_worker(known, batch)


def needs_worker(batch: Seen | None) -> bool:
    """Whether the worker may have written something that Batch does not know."""
    return batch is None or batch.rank >= Rank.RUNNING or bool(batch.attempts)


def _is_current(stored: StoredState, batch: Seen) -> bool:
    """Whether the worker's word is of the attempt under way (they count from 1)."""
    return not batch.rank.waits and stored.attempt > len(batch.attempts)


def _before_the_worker(known: Known, batch: Seen) -> JobStatus:
    queued = (JobState.QUEUED, known.created_at)
    waiting = known.waiting
    if batch.attempts:
        waiting = f"{_retry_note(batch)} {waiting}".strip()
    if batch.rank.waits:
        status = JobStatus(state=JobState.QUEUED, history=(queued,), waiting=waiting)
    else:
        at = max(known.created_at, batch.started_at or known.created_at)
        history = (queued, (JobState.STARTING, at))
        status = JobStatus(state=JobState.STARTING, history=history, waiting=waiting)
    return _with_stored(status, known.stored)


def _retry_note(batch: Seen) -> str:
    last = batch.attempts[-1]
    why = (last.status_reason or last.reason or "it ended early").rstrip(".")
    number = len(batch.attempts)
    return f"Attempt {number} of {batch.most_attempts} was lost ({why}); the next one is due."


def _told_by_result(known: Known, result: JobResult, now: float) -> JobStatus:
    """Killed between the last word and the state that announces it."""
    at = (known.batch.stopped_at if known.batch else None) or now
    return _ended(known, result.state, result.cause, at)


def _unknown_to_batch(known: Known, now: float) -> JobStatus:
    if known.stored is not None:
        at = known.stored.heartbeat_at
        return _ended(known, JobState.LOST, _FORGOTTEN, at)
    if known.cancel_asked:
        return _ended(known, JobState.CANCELLED, _CANCELLED, known.created_at)
    queued = JobStatus(state=JobState.QUEUED, history=((JobState.QUEUED, known.created_at),))
    if now - known.created_at < STARTS_WITHIN_S:
        return queued
    return _ended(known, JobState.LOST, _NEVER_STARTED, known.created_at)


def _ended(known: Known, state: JobState, cause: Cause | None, at: float) -> JobStatus:
    history = _history(known)
    end = max(at, history[-1][1])
    status = JobStatus(state=state, history=(*history, (state, end)), cause=cause)
    return _with_stored(status, known.stored)


def _history(known: Known) -> tuple[tuple[JobState, float], ...]:
    """The way until the end: the worker's own, else what Batch saw."""
    if known.stored is not None:
        return _ordered(known, known.stored.status).history
    queued = (JobState.QUEUED, known.created_at)
    if known.batch is None or known.batch.started_at is None:
        return (queued,)
    return (queued, (JobState.STARTING, max(known.batch.started_at, known.created_at)))


def _ordered(known: Known, status: JobStatus) -> JobStatus:
    """The worker's status, beginning with the submit, its times in order."""
    history: list[tuple[JobState, float]] = [(JobState.QUEUED, known.created_at)]
    for state, at in status.history:
        if state is not JobState.QUEUED:
            history.append((state, max(at, history[-1][1])))
    return replace(status, history=tuple(history))


def _with_stored(status: JobStatus, stored: StoredState | None) -> JobStatus:
    if stored is None:
        return status
    return replace(status, log_bytes=stored.status.log_bytes, heartbeat_at=stored.heartbeat_at)
