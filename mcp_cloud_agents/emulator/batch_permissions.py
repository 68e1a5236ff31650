"""Which IAM actions on which resources a call of Batch needs (Service Authorization Reference)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mcp_cloud_agents.emulator.asked import Asked

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.state import State

_ON_QUEUE = frozenset({"GetJobQueueSnapshot", "UpdateJobQueue", "DeleteJobQueue"})
_ON_ENVIRONMENT = frozenset({"UpdateComputeEnvironment", "DeleteComputeEnvironment"})


def permissions_needed(state: State, action: str, path: str, body: bytes) -> list[Asked]:
    """All of them have to be allowed."""
    given: dict[str, Any] = json.loads(body or b"{}")
    match action:
        case "SubmitJob":
            return _to_submit(state, given)
        case "TerminateJob" | "CancelJob":
            return [_on_job(state, action, str(given.get("jobId", "")))]
        case "TerminateJobs" | "CancelJobs":  # there is no action of their own
            jobs: list[str] = given.get("jobs") or []
            return [_on_job(state, action[:-1], one) for one in jobs]
        case "TagResource" | "UntagResource" | "ListTagsForResource":
            tags: dict[str, str] = given.get("tags") or {}
            return [Asked(action, unquote(path.removeprefix("/v1/tags/"))).about(request=tags)]
        case _ if action in _ON_QUEUE:
            return [Asked(action, _arn(state, "job-queue", str(given.get("jobQueue", ""))))]
        case _ if action in _ON_ENVIRONMENT:
            name = str(given.get("computeEnvironment", ""))
            return [Asked(action, _arn(state, "compute-environment", name))]
        case _:
            return [Asked(action, "*")]


def _to_submit(state: State, given: dict[str, Any]) -> list[Asked]:
    tags: dict[str, str] = given.get("tags") or {}
    needed = [
        Asked("SubmitJob", _arn(state, "job-queue", str(given.get("jobQueue", "")))),
        Asked("SubmitJob", state.definition(str(given.get("jobDefinition", ""))).arn),
    ]
    if tags:
        needed.append(Asked("TagResource", state.options.arn("batch", "job/new")))
    return [one.about(request=tags) for one in needed]


def _on_job(state: State, action: str, job_id: str) -> Asked:
    with state.lock:
        job = state.job(job_id)
    needed = Asked(action, state.options.arn("batch", f"job/{job_id}"))
    return needed if job is None else needed.about(resource=job.request.tags)


def _arn(state: State, kind: str, name_or_arn: str) -> str:
    if name_or_arn.startswith("arn:"):
        return name_or_arn
    return state.options.arn("batch", f"{kind}/{name_or_arn}")
