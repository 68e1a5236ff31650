"""A job, its attempts and its states.

    SUBMITTED → (PENDING) → RUNNABLE → STARTING → RUNNING → SUCCEEDED or FAILED
                               └────────┴─ retry ─┘

Records here are changed by the engine's thread alone, under the state's lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mcp_cloud_agents.emulator.batch.resources import ComputeEnvironment, Definition, Queue

Json = dict[str, Any]


def now_ms() -> int:
    """Milliseconds since 1970, as Batch tells times."""
    return time.time_ns() // 1_000_000


class Status(StrEnum):
    """States of a job."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED})
NOT_PLACED = frozenset({Status.SUBMITTED, Status.PENDING, Status.RUNNABLE})
_NEXT: Mapping[Status, frozenset[Status]] = {
    Status.SUBMITTED: frozenset({Status.PENDING, Status.RUNNABLE, Status.FAILED}),
    Status.PENDING: frozenset({Status.RUNNABLE, Status.SUCCEEDED, Status.FAILED}),
    Status.RUNNABLE: frozenset({Status.STARTING, Status.FAILED}),
    Status.STARTING: frozenset({Status.RUNNING, Status.RUNNABLE, Status.FAILED}),
    Status.RUNNING: frozenset({Status.RUNNABLE, Status.SUCCEEDED, Status.FAILED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
}


@dataclass(slots=True)
class Attempt:
    """One try on one task. Times in milliseconds."""

    number: int
    task_id: str
    task_arn: str
    environment: ComputeEnvironment
    log_stream: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    status_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a job is to do: the definition with everything that SubmitJob changed in it."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    container: Json
    vcpus: float
    memory_mib: int
    parameters: Mapping[str, str]
    retry: Json
    timeout_s: int | None
    tags: Mapping[str, str]
    given: Json


@dataclass(slots=True, eq=False)
class Job:
    """One job, an array's parent, or an array's child.

    Attributes:
        blockers: ids of jobs that have to succeed first.
        dependents: jobs that have this one among their blockers.
        stop_reason: set when somebody cancelled or terminated it.
        stuck: a fault keeps it RUNNABLE.
    """

    id: str
    name: str
    arn: str
    order: int
    queue: Queue
    definition: Definition
    request: Request
    share: str | None = None
    priority: int | None = None
    size: int | None = None
    index: int | None = None
    parent: Job | None = None
    children: list[Job] = field(default_factory=list["Job"])
    children_ended: int = 0
    blockers: set[str] = field(default_factory=set[str])
    dependents: list[Job] = field(default_factory=list["Job"])
    status: Status = Status.SUBMITTED
    status_reason: str | None = None
    created_at: int = field(default_factory=now_ms)
    started_at: int | None = None
    stopped_at: int | None = None
    runnable_at: float | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    current: Attempt | None = None
    stop_reason: str | None = None
    stuck: bool = False
    cancelled: bool = False
    terminated: bool = False

    @property
    def attempts_made(self) -> int:
        """How many attempts were begun."""
        return len(self.attempts) + (self.current is not None)

    def step(self, to: Status, reason: str | None = None) -> None:
        """Go to a state.

        Raises:
            ValueError: there is no such step.
        """
        if to not in _NEXT[self.status]:
            msg = f"job {self.id}: no step from {self.status} to {to}"
            raise ValueError(msg)
        self.status = to
        self.status_reason = reason or self.status_reason
        if to is Status.RUNNABLE:
            self.runnable_at = time.monotonic()
        if to is Status.RUNNING and self.current is not None:
            self.started_at = self.current.started_at
        if to in FINAL:
            self.stopped_at = now_ms()
