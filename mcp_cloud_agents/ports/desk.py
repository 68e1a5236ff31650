"""The worker's desk: where a job's log, state and progress go. One implementation a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobState
    from mcp_cloud_agents.domain.result import Cause, JobResult, Progress


class Desk(Protocol):
    """What the stages of a job report to. Used from the worker's main thread only."""

    def enter(self, state: JobState) -> None:
        """The job has come this far."""
        ...

    def log(self, data: bytes) -> None:
        """Append to the log, up to its cap; never raises for a full disk."""
        ...

    @property
    def left_out_bytes(self) -> int:
        """Output that did not fit into the log any more."""
        ...

    def say(self, text: str) -> None:
        """A line of our own in the log."""
        ...

    def beat(self, progress: Progress | None) -> None:
        """Still alive, and how far."""
        ...

    def cancelled(self) -> bool:
        """Whether somebody asked the job to end."""
        ...

    def finish(self, result: JobResult, cause: Cause | None) -> None:
        """The last word: log flushed, result written once, then the final state. Durable."""
        ...
