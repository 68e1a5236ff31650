"""Weekday and time of this machine's clock, whatever a client put into the variable TZ.

A repository can hand variables to a server by its MCP configuration, and must not move the hours
of a person's policy.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONE_FILE = "/etc/localtime"


def local_time(at: float, *, zone_file: str = _ZONE_FILE) -> str:
    """The moment `at` (seconds since the epoch) as `mon 14:05`; UTC where no zone is set."""
    here = datetime.fromtimestamp(at, UTC)
    try:
        with open(zone_file, "rb") as file:
            here = here.astimezone(ZoneInfo.from_file(file))
    except (OSError, ValueError):  # none, or no TZif file: what the C library does as well
        pass
    return f"{_DAYS[here.weekday()]} {here:%H:%M}"
