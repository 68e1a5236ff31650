"""The time limit as a caller says it, in minutes, and as the rest of the program has it."""

from __future__ import annotations

from mcp_cloud_agents.delegation.validate import MAX_TIMEOUT_S
from mcp_cloud_agents.domain.errors import InvalidArgument


def seconds_of(minutes: float | None) -> int | None:
    """Whole seconds, at least one; None: the default.

    Raises:
        InvalidArgument: it is not above 0 and at most 1440, or no number; said in minutes.
    """
    if minutes is None:
        return None
    most = MAX_TIMEOUT_S // 60
    if not 0 < minutes <= most:
        raise InvalidArgument(
            f"timeout_minutes is {minutes:g}; it must be above 0 and at most {most}.",
            hint="Pass a number of minutes within these bounds, or leave it out.",
        )
    return max(1, round(minutes * 60))
