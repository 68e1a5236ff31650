"""`evaluateOnExit`: whether an attempt that failed is tried again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.job import Attempt

from mcp_cloud_agents.emulator.batch.shapes import parts

Json = dict[str, Any]


def wants_retry(retry: Json, attempt: Attempt, made: int) -> bool:
    """Whether there is another attempt after this one.

    The first entry of which every given condition matches decides; without a match it is a
    retry (AWS Batch API reference, RetryStrategy and EvaluateOnExit).
    """
    if made >= int(retry.get("attempts") or 1):
        return False
    seen = {
        "onStatusReason": attempt.status_reason or "",
        "onReason": attempt.reason or "",
        "onExitCode": "" if attempt.exit_code is None else str(attempt.exit_code),
    }
    for entry in parts(retry, "evaluateOnExit"):
        if all(_matches(entry[key], seen[key]) for key in seen if entry.get(key) is not None):
            return str(entry["action"]).upper() == "RETRY"
    return True


def _matches(glob: str, text: str) -> bool:
    return text.startswith(glob[:-1]) if glob.endswith("*") else text == glob
