"""One job as this process knows it, and the looks at it that are due."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.backends.aws_batch.logs import LiveLog
from mcp_cloud_agents.backends.aws_batch.poller import Job
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.storage.job_objects import JobObjects, StoredState

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.seen import Seen

FEW_JOBS = 20
"""Up to so many open jobs everybody gets news at once; beyond it calls are rationed."""
TAILS = 20
_TAILS_PER_S, _STATES_PER_S = 8.0, 10.0
_STATE_EVERY_S = 1.0
_FIND_EVERY_S = 2.0
_FORGOTTEN_AFTER = 3
"""Answers of Batch without a job, in a row, before it is believed."""
_VISIBLE_WITHIN_S = 30.0


@dataclass(slots=True, eq=False)
class Tracked:
    """What is known of a job, with the times of the looks (monotonic)."""

    spec: JobSpec
    objects: JobObjects
    poll: Job | None = None
    stored: StoredState | None = None
    stored_at: float = float("-inf")
    sought_at: float = float("-inf")
    result: JobResult | None = None
    final: JobStatus | None = None
    live: LiveLog | None = None
    log_end: int = 0
    durable: Bytes | None = None
    """What the last look at its log in the bucket found, while such looks are rationed."""
    watchers: int = 0
    used_at: float = float("-inf")
    version: int = 0
    """Counts news that are not Batch's."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def batch(self) -> Seen | None:
        """Batch's last word."""
        return None if self.poll is None else self.poll.last

    @property
    def versions(self) -> tuple[int, int]:
        """Changes with each change."""
        return self.version, -1 if self.poll is None else self.poll.version

    @property
    def forgotten(self) -> bool:
        """Whether Batch knows the job no more; a new one may not be visible yet."""
        poll = self.poll
        if poll is None or poll.missing < _FORGOTTEN_AFTER:
            return False
        return anyio.current_time() - poll.since > _VISIBLE_WITHIN_S

    def take_stored(self, stored: StoredState | None) -> None:
        """The worker's word, just read; never an older attempt's than known."""
        self.stored_at = anyio.current_time()
        old = self.stored
        if stored is not None and (old is None or stored.attempt >= old.attempt):
            if old is None or stored.status != old.status:
                self.version += 1
            self.stored = stored

    def state_due_in(self, open_jobs: int) -> float:
        """Seconds until state.json should be read again."""
        period_s = max(_STATE_EVERY_S, open_jobs / _STATES_PER_S)
        return self.stored_at + period_s - anyio.current_time()

    def find_due_in(self) -> float:
        """Seconds until Batch should be asked for the job by its name again."""
        return self.sought_at + _FIND_EVERY_S - anyio.current_time()

    def use(self) -> None:
        """Somebody reads it."""
        self.used_at = anyio.current_time()


class Turns:
    """Looks of one kind: with many jobs open, at most one of all of them in so many seconds."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next_at = float("-inf")

    def due_in(self, open_jobs: int) -> float:
        """Seconds until there is a turn; 0 or less: now."""
        return 0.0 if open_jobs <= FEW_JOBS else self._next_at - anyio.current_time()

    def take(self, open_jobs: int) -> bool:
        """Whether there is one now; then it is taken."""
        if self.due_in(open_jobs) > 0:
            return False
        self._next_at = anyio.current_time() + self._every_s
        return True


def tail_period_s(tails: int) -> float:
    """How seldom each of some live logs is read, so that all together stay within the ration."""
    return tails / _TAILS_PER_S


def wall_clock() -> float:
    """Seconds since the epoch."""
    return time.time()
