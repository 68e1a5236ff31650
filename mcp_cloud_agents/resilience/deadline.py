"""One time for a whole job, and what each hop on its way may take of it. Pure.

    created ─ queue ─ restore ─ set up ─ run ─ collect ─▶ deadline
              each hop: its own limit, or what is left without what the later ones need

Times and clocks are the caller's; a deadline and a `now` have to be of the same clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.sandbox import Limits

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec

QUEUE_S = 6 * 3600.0
"""For waiting until there is room: a night's worth of jobs, and short of a stuck queue's days."""
RESTORE_S = 300.0
COLLECT_S = 300.0
"""Kept for the end, so that whatever happened a result is written."""
SLACK_S = 120.0
"""For what no limit counts: the start of the worker, the store, the last of the log."""
LEAST_COLLECT_S = 10.0
"""So long the end may take also when the deadline has passed."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something has to be over, by a clock of the caller's; infinity: never."""

    at: float

    def left(self, now: float) -> float:
        """Seconds until then, never negative."""
        return max(0.0, self.at - now)

    def share(self, now: float, at_most_s: float, keep_s: float = 0.0) -> float:
        """What one hop may take: its own limit, or what is left when some is kept."""
        return max(0.0, min(at_most_s, self.left(now) - keep_s))


@dataclass(frozen=True, slots=True)
class Hops:
    """What each hop of one job in its worker may take from now on, in seconds.

    Attributes:
        deadline: of the job.
        limits: of its own.
        reserve_s: kept for the end.
    """

    deadline: Deadline
    limits: Limits
    reserve_s: float

    @staticmethod
    def begun(deadline: Deadline, limits: Limits, now: float) -> Hops:
        """From the worker's start on; of a short time at most half is kept for the end."""
        return Hops(deadline, limits, min(COLLECT_S, deadline.left(now) / 2))

    def over(self, now: float) -> bool:
        """Whether there is only time left to say so."""
        return self.deadline.left(now) <= self.reserve_s

    def restore_s(self, now: float) -> float:
        """For the tree."""
        return self._working(now, self.limits.setup_timeout_s)

    def set_up_s(self, now: float) -> float:
        """For the environment: the run keeps its limit, or half of what there is."""
        half = self._working(now, float("inf")) / 2
        return self._working(now, self.limits.setup_timeout_s, min(self.limits.timeout_s, half))

    def run_s(self, now: float) -> float:
        """For the command, or all of a fix."""
        return self._working(now, self.limits.timeout_s)

    def collect_s(self, now: float) -> float:
        """For patch, artifacts and report; never nothing."""
        return max(LEAST_COLLECT_S, self.deadline.share(now, COLLECT_S))

    def _working(self, now: float, at_most_s: float, keep_s: float = 0.0) -> float:
        return self.deadline.share(now, at_most_s, self.reserve_s + keep_s)


def attempt_limit_s(limits: Limits, *, sets_up: bool) -> float:
    """The longest one attempt at a job can take by its own limits."""
    set_up_s = limits.setup_timeout_s if sets_up else 0
    return RESTORE_S + set_up_s + limits.timeout_s + COLLECT_S + SLACK_S


def deadline_for(
    limits: Limits, setup_commands: tuple[str, ...], created_at: float, queue_s: float = QUEUE_S
) -> float:
    """When a job has to be over, wherever it is, in seconds since the epoch.

    Args:
        limits: its own.
        setup_commands: of its plan; none take no time.
        created_at: when it was let go, in seconds since the epoch.
        queue_s: how long it may wait for room.
    """
    return created_at + queue_s + attempt_limit_s(limits, sets_up=bool(setup_commands))


def deadline_here(spec: JobSpec, wall: float, monotonic: float) -> Deadline:
    """A job's deadline by this machine's monotonic clock; the wall clock counts this once.

    A wall clock that was moved back gives a job no more than it was made with; one that is moved
    later changes nothing, and neither does a machine that sleeps.

    Args:
        spec: of the job.
        wall: seconds since the epoch, now.
        monotonic: the same moment by the other clock.
    """
    if spec.deadline_at is None:
        return Deadline(float("inf"))
    whole_s = max(0.0, spec.deadline_at - spec.created_at)
    return Deadline(monotonic + min(whole_s, spec.deadline_at - wall))
