"""Jobs as the API tells them: JobDetail and JobSummary of the service model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mcp_cloud_agents.emulator.batch.job import FINAL, NOT_PLACED, Attempt, Job, Status
from mcp_cloud_agents.emulator.batch.shapes import parts

Json = dict[str, Any]


def detail(job: Job) -> Json:
    """A JobDetail, made anew at each call."""
    request = job.request
    seen: Json = {
        "jobArn": job.arn,
        "jobName": job.name,
        "jobId": job.id,
        "jobQueue": job.queue.arn,
        "status": job.status.value,
        "shareIdentifier": job.share,
        "schedulingPriority": job.priority,
        "attempts": [_attempt(one) for one in job.attempts],
        "statusReason": job.status_reason,
        "createdAt": job.created_at,
        "retryStrategy": request.retry,
        "startedAt": job.started_at,
        "stoppedAt": job.stopped_at,
        "dependsOn": parts(request.given, "dependsOn"),
        "jobDefinition": job.definition.arn,
        "parameters": dict(request.parameters),
        "container": _container(job),
        "arrayProperties": _array(job),
        "timeout": _timeout(job),
        "tags": {**(job.definition.tags if _propagates(job) else {}), **request.tags},
        "propagateTags": _propagates(job),
        "platformCapabilities": job.definition.given.get("platformCapabilities", []),
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
    }
    return {key: value for key, value in seen.items() if value is not None}


def summary(job: Job) -> Json:
    """A JobSummary."""
    last = _last(job)
    ended = None if last is None else {"exitCode": last.exit_code, "reason": last.reason}
    seen: Json = {
        "jobArn": job.arn,
        "jobId": job.id,
        "jobName": job.name,
        "createdAt": job.created_at,
        "status": job.status.value,
        "statusReason": job.status_reason,
        "startedAt": job.started_at,
        "stoppedAt": job.stopped_at,
        "shareIdentifier": job.share,
        "container": ended and _present(ended),
        "arrayProperties": _array_summary(job),
        "jobDefinition": job.definition.arn,
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
    }
    return _present(seen)


def _present(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _propagates(job: Job) -> bool:
    given = job.request.given.get("propagateTags")
    return bool(job.definition.given.get("propagateTags") if given is None else given)


def _timeout(job: Job) -> Json | None:
    seconds = job.request.timeout_s
    return None if seconds is None else {"attemptDurationSeconds": seconds}


def _last(job: Job) -> Attempt | None:
    return job.current or (job.attempts[-1] if job.attempts else None)


def _attempt(attempt: Attempt) -> Json:
    container: Json = {
        "taskArn": attempt.task_arn,
        "exitCode": attempt.exit_code,
        "reason": attempt.reason,
        "logStreamName": attempt.log_stream,
        "networkInterfaces": [],
    }
    return _present(
        {
            "container": _present(container),
            "startedAt": attempt.started_at,
            "stoppedAt": attempt.stopped_at,
            "statusReason": attempt.status_reason,
        }
    )


def _container(job: Job) -> Json | None:
    if job.size is not None:
        return None
    shown: Json = {"volumes": [], "mountPoints": [], "ulimits": [], "secrets": [], "command": []}
    told: Json = {**shown, **job.request.container, "networkInterfaces": []}
    last = None if job.status in NOT_PLACED and not job.attempts else _last(job)
    if last is not None:
        told |= {
            "taskArn": last.task_arn,
            "exitCode": last.exit_code,
            "reason": last.reason,
            "logStreamName": last.log_stream,
        }
    return _present(told)


def _array(job: Job) -> Json | None:
    if job.index is not None:
        return {"index": job.index}
    if job.size is None:
        return None
    found = Counter(child.status for child in job.children)
    return {"size": job.size, "statusSummary": {one.value: found[one] for one in Status}}


def _array_summary(job: Job) -> Json | None:
    if job.index is not None:
        return {"index": job.index}
    return None if job.size is None else {"size": job.size}


def open_jobs(jobs: list[Job]) -> list[Job]:
    """Those that have not ended."""
    return [job for job in jobs if job.status not in FINAL]
