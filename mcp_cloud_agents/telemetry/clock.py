"""The system's clock, and ids that sort by time and cannot be guessed."""

from __future__ import annotations

import secrets
import time

from mcp_cloud_agents.domain.job import JobId

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing to mix up by eye
_TIME_CHARS, _RANDOM_CHARS = 9, 13  # 45 bits of milliseconds (to the year 3084), 65 bits of chance


class SystemClock:
    """`ports.clock.Clock` of the operating system."""

    def now(self) -> float:
        """See the port."""
        return time.time()

    def monotonic(self) -> float:
        """See the port."""
        return time.monotonic()

    def new_job_id(self) -> JobId:
        """See the port."""
        stamp = _base32(time.time_ns() // 1_000_000, _TIME_CHARS)
        return JobId(f"j{stamp}{_base32(secrets.randbits(65), _RANDOM_CHARS)}")


def _base32(number: int, width: int) -> str:
    digits = [_ALPHABET[(number >> (5 * place)) & 31] for place in range(width)]
    return "".join(reversed(digits))
