"""What is known of a job now: its state, the way there, its cause and progress."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mcp_cloud_agents.domain.job import JobState, next_states
from mcp_cloud_agents.domain.result import Cause, Progress


class IllegalStep(Exception):
    """A job cannot go from its state to the one asked for: a defect of the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of a job that was billed; times in seconds since the epoch."""

    started_at: float | None = None
    stopped_at: float | None = None
    """None: nobody knows; then the longest counts that it can have been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What is known of a job now."""

    state: JobState
    history: tuple[tuple[JobState, float], ...]
    """Each state entered, with its time in seconds since the epoch."""
    cause: Cause | None = None
    """Why it ended, when it did not succeed."""
    progress: Progress | None = None
    log_bytes: int = 0
    heartbeat_at: float | None = None
    """When the supervisor last wrote; None before it started."""
    waiting: str = ""
    """Why it has not started yet, or has to start again, where that is known."""
    attempts: tuple[Attempt, ...] | None = field(default=None, compare=False)
    """What a job that is done is billed for, as far as whoever looked could see; None: nobody
    knows. The same job may be told with more or less of it."""

    def advance(self, to: JobState, *, at: float, cause: Cause | None = None) -> JobStatus:
        """The status after one step.

        Raises:
            IllegalStep: no such step exists.
        """
        if to not in next_states(self.state):
            raise IllegalStep(f"{self.state} -> {to}")
        return replace(self, state=to, history=(*self.history, (to, at)), cause=cause)
