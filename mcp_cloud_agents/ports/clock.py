"""Time and fresh ids, so that the core can be tested without either.

The contract is in `tests/contracts/test_clock.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobId


class Clock(Protocol):
    """Where time comes from. Any thread may ask, any number of them at once."""

    def now(self) -> float:
        """Seconds since the epoch, to record."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, to measure."""
        ...

    def new_job_id(self) -> JobId:
        """A fresh id that nobody can guess: 64 bits of chance at least.

        No two are the same, whichever process makes them. It is a plain file name of at most 80
        lower case letters and digits, all of one length, and begins with `j`; ids that were made
        in different milliseconds sort by time.
        """
        ...
