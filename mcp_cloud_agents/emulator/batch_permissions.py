"""Which IAM actions on which resources a call of Batch needs (Service Authorization Reference)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.state import State

Needed = list[tuple[str, str]]
_ON_QUEUE = frozenset({"GetJobQueueSnapshot", "UpdateJobQueue", "DeleteJobQueue"})
_ON_ENVIRONMENT = frozenset({"UpdateComputeEnvironment", "DeleteComputeEnvironment"})


def permissions_needed(state: State, action: str, path: str, body: bytes) -> Needed:
    """Pairs of action and resource ARN; all of them have to be allowed."""
    given: dict[str, Any] = json.loads(body or b"{}")
    arn = state.options.arn
    match action:
        case "SubmitJob":
            queue = _arn(state, "job-queue", str(given.get("jobQueue", "")))
            definition = state.definition(str(given.get("jobDefinition", ""))).arn
            needed = [(action, queue), (action, definition)]
            tagging = [("TagResource", arn("batch", "job/new"))] if given.get("tags") else []
            return needed + tagging
        case "TerminateJob" | "CancelJob":
            return [(action, arn("batch", f"job/{given.get('jobId', '')}"))]
        case "TerminateJobs" | "CancelJobs":  # there is no action of their own
            jobs: list[str] = given.get("jobs") or []
            return [(action[:-1], arn("batch", f"job/{one}")) for one in jobs]
        case "TagResource" | "UntagResource" | "ListTagsForResource":
            return [(action, unquote(path.removeprefix("/v1/tags/")))]
        case _ if action in _ON_QUEUE:
            return [(action, _arn(state, "job-queue", str(given.get("jobQueue", ""))))]
        case _ if action in _ON_ENVIRONMENT:
            name = str(given.get("computeEnvironment", ""))
            return [(action, _arn(state, "compute-environment", name))]
        case _:
            return [(action, "*")]


def _arn(state: State, kind: str, name_or_arn: str) -> str:
    if name_or_arn.startswith("arn:"):
        return name_or_arn
    return state.options.arn("batch", f"{kind}/{name_or_arn}")
