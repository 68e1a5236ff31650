"""Time and fresh ids, so that the core can be tested without either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobId


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds since the epoch, to record."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, to measure."""
        ...

    def new_job_id(self) -> JobId:
        """A fresh id that nobody can guess and that sorts by time."""
        ...
