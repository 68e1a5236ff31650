"""What DescribeJobs says of one job, read tolerantly: unknown fields are passed over. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.backends.aws_batch.answers import record, records
from mcp_cloud_agents.backends.aws_batch.request import JOB_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rank(IntEnum):
    """States of Batch, in the order in which an attempt goes through them."""

    SUBMITTED = 0
    PENDING = 1
    RUNNABLE = 2
    STARTING = 3
    RUNNING = 4
    SUCCEEDED = 5
    FAILED = 6

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self >= Rank.SUCCEEDED

    @property
    def waits(self) -> bool:
        """Whether no machine has it yet."""
        return self <= Rank.RUNNABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One that has ended."""

    started_at: float | None = None
    stopped_at: float | None = None
    exit_code: int | None = None
    reason: str = ""
    """The container's."""
    status_reason: str = ""
    """The task's."""
    log_stream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job of Batch at one moment; times in seconds since the epoch."""

    batch_id: str
    rank: Rank
    queue: str = ""
    created_at: float = 0.0
    started_at: float | None = None
    stopped_at: float | None = None
    status_reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    """Those that have ended, first one first."""
    log_stream: str = ""
    """Of the attempt under way, or of the last one."""
    exit_code: int | None = None
    reason: str = ""
    terminated: bool = False
    most_attempts: int = 1
    job_tag: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """How far it is; what is less far is older news."""
        return (len(self.attempts), self.rank) if not self.rank.final else (99, self.rank)

    @property
    def streams(self) -> tuple[str, ...]:
        """Log streams of all attempts, first one first."""
        named = (*(attempt.log_stream for attempt in self.attempts), self.log_stream)
        return tuple(dict.fromkeys(name for name in named if name))


def seen(detail: Mapping[str, Any]) -> Seen | None:
    """A JobDetail of DescribeJobs, or of an event; None when it says no known state."""
    try:
        rank = Rank[str(detail.get("status"))]
    except KeyError:
        return None
    container = _container(detail)
    attempts = tuple(_attempt(one) for one in records(detail, "attempts") if _has_ended(one, rank))
    last = attempts[-1] if attempts else Attempt()
    return Seen(
        batch_id=str(detail.get("jobId", "")),
        rank=rank,
        queue=str(detail.get("jobQueue", "")),
        created_at=_seconds(detail.get("createdAt")) or 0.0,
        started_at=_seconds(detail.get("startedAt")),
        stopped_at=_seconds(detail.get("stoppedAt")),
        status_reason=str(detail.get("statusReason") or ""),
        attempts=attempts,
        log_stream=str(container.get("logStreamName") or last.log_stream),
        exit_code=_number(container.get("exitCode"), last.exit_code),
        reason=str(container.get("reason") or last.reason),
        terminated=bool(detail.get("isTerminated")) or bool(detail.get("isCancelled")),
        most_attempts=_number(record(detail, "retryStrategy").get("attempts"), 1) or 1,
        job_tag=str(record(detail, "tags").get(JOB_TAG, "")),
    )


def newest(known: Seen | None, news: Seen) -> Seen:
    """Answers and events come late and out of order: what is less far is never believed."""
    if known is None or known.batch_id != news.batch_id or news.place >= known.place:
        return news
    return known


def _container(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one container, also of a job with `ecsProperties`."""
    if found := record(detail, "container"):
        return found
    for task in records(record(detail, "ecsProperties"), "taskProperties"):
        for container in records(task, "containers"):
            return container
    return {}


def _attempt(one: Mapping[str, Any]) -> Attempt:
    container = _container(one)
    for task in records(one, "taskProperties"):
        container = container or next(iter(records(task, "containers")), container)
    return Attempt(
        started_at=_seconds(one.get("startedAt")),
        stopped_at=_seconds(one.get("stoppedAt")),
        exit_code=_number(container.get("exitCode"), None),
        reason=str(container.get("reason") or ""),
        status_reason=str(one.get("statusReason") or ""),
        log_stream=str(container.get("logStreamName") or ""),
    )


def _has_ended(one: Mapping[str, Any], rank: Rank) -> bool:
    """Whether an attempt in the list is over: one under way may stand there as well."""
    told = one.get("stoppedAt") is not None or bool(one.get("statusReason"))
    return told or rank.final


def _seconds(value: Any) -> float | None:
    return value / 1000 if isinstance(value, int | float) and value > 0 else None


def _number(value: Any, otherwise: int | None) -> int | None:
    return value if isinstance(value, int) else otherwise
