"""The worker's desk: where a job's log, state and progress go. One implementation a place.

The contract is in `tests/contracts/test_desk.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobState
    from mcp_cloud_agents.domain.result import Cause, JobResult, Progress


class Desk(Protocol):
    """What the stages of a job report to. Used from the worker's main thread only.

    Others read what was reported at any time, from any process: each state, progress and result is
    seen whole or not at all, and a log only grows. A step that failed for want of space (NoSpace)
    has not happened, and can be taken again.
    """

    def enter(self, state: JobState) -> None:
        """The job has come this far; durable before it returns.

        Raises:
            IllegalStep: no such step exists; nothing was written.
            NoSpace: the disk is full.
        """
        ...

    def log(self, data: bytes) -> None:
        """Append to the log, up to its cap; never raises for a full disk."""
        ...

    @property
    def left_out_bytes(self) -> int:
        """Output that is not in the log: beyond its cap, or while the disk was full."""
        ...

    @property
    def disk_full(self) -> bool:
        """Whether something is not in the log because the disk was full."""
        ...

    def say(self, text: str) -> None:
        """A line of our own in the log, whatever its cap; never raises for a full disk."""
        ...

    def beat(self, progress: Progress | None) -> None:
        """Still alive, and how far; None: no news of that. Never raises for a full disk."""
        ...

    def cancelled(self) -> bool:
        """Whether somebody asked the job to end; once True, always True."""
        ...

    def finish(self, result: JobResult, cause: Cause | None) -> None:
        """The last word: log flushed, result written, then the final state `result.state`. Durable.

        Whoever sees the final state finds the whole log and this result. Nothing is written when
        the job is done already, or when `result.state` is no state a job can end in now.

        Raises:
            IllegalStep: it is not, or the job is done; nothing was written.
            NoSpace: the disk is full; the job is not done.
        """
        ...
