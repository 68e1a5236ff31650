"""What is remembered of something that may keep failing, and whether it is asked now. Pure.

    closed ─ failures in a row ─▶ open ─ time ─▶ half open ─ one call ─▶ closed, or open again

Times are wall clock, as several processes share a record. A clock that was moved neither closes a
door for good nor opens it for all: a pause longer than the longest is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from mcp_cloud_agents.domain.rendering import render_text

_BELIEVED_S = 86_400.0
"""What happened longer ago tells nothing any more."""
_WHY_CHARS = 300


class Circuit(StrEnum):
    """The state of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens, and for how long."""

    failures: int = 3
    """In a row."""
    first_pause_s: float = 15.0
    longest_pause_s: float = 300.0
    """Each failure of the one call that half-opens it doubles the pause, up to this."""
    trial_s: float = 120.0
    """So long the one call of a half-open breaker may take; then it is taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAlone:
    """Why a call may not be made now."""

    why: str
    until: float
    """Seconds since the epoch when it is tried again."""

    @property
    def told(self) -> str:
        """One sentence without an end."""
        return f"it is tried again at {at_text(self.until)}; it failed by: {self.why.rstrip('.')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRecord:
    """What is remembered of the last calls; as it is: nothing, which is closed.

    All times are seconds since the epoch.
    """

    failures: int = 0
    """In a row."""
    since: float = 0.0
    """When it opened, after it was closed."""
    failed_at: float = 0.0
    """The last failure."""
    pause_s: float = 0.0
    """From the last failure on; 0: it is closed."""
    trial_at: float | None = None
    """When the one call of a half-open breaker began."""
    why: str = ""

    @property
    def until(self) -> float:
        """When it is tried again."""
        return self.failed_at + self.pause_s


def circuit_of(record: CircuitRecord, policy: BreakerPolicy, now: float) -> Circuit:
    """The state at this time."""
    if not believed(record, now).pause_s:
        return Circuit.CLOSED
    waiting = 0 < record.until - now <= policy.longest_pause_s
    return Circuit.OPEN if waiting else Circuit.HALF_OPEN


def believed(record: CircuitRecord, now: float) -> CircuitRecord:
    """The record, or nothing when its last failure is more than a day away."""
    return record if abs(now - record.failed_at) <= _BELIEVED_S else CircuitRecord()


def refused(record: CircuitRecord, policy: BreakerPolicy, now: float) -> LeftAlone | None:
    """Why no call may be made now; None: one may."""
    match circuit_of(record, policy, now):
        case Circuit.CLOSED:
            return None
        case Circuit.OPEN:
            return LeftAlone(why=record.why, until=record.until)
        case Circuit.HALF_OPEN:
            begun = record.trial_at
            if begun is None or abs(now - begun) >= policy.trial_s:
                return None
            return LeftAlone(why=record.why, until=min(now, begun) + policy.trial_s)


def tried(record: CircuitRecord, policy: BreakerPolicy, now: float) -> CircuitRecord:
    """The record once a call is made that `refused` does not forbid."""
    half_open = circuit_of(record, policy, now) is Circuit.HALF_OPEN
    return replace(record, trial_at=now) if half_open else record


def failed(
    record: CircuitRecord, policy: BreakerPolicy, now: float, why: str, *, weight: int = 1
) -> CircuitRecord:
    """The record after a call failed; it counts `weight` times."""
    record = believed(record, now)
    counted = replace(
        record,
        failures=record.failures + weight,
        failed_at=now,
        trial_at=None,
        why=_one_line(why),
    )
    if counted.failures < policy.failures:
        return counted
    pause_s = min(record.pause_s * 2 or policy.first_pause_s, policy.longest_pause_s)
    return replace(counted, pause_s=pause_s, since=record.since or now)


def _one_line(text: str) -> str:
    """Rendered, as it comes from outside, and fit to be stored."""
    plain = " ".join(render_text(text).split())[:_WHY_CHARS]
    return plain.encode("utf-8", "replace").decode()


def at_text(at: float) -> str:
    """A time as people read it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
