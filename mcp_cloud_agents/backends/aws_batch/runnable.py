"""Why a job waits in RUNNABLE: from queue, compute environments, quota and place in the line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from mcp_cloud_agents.backends.aws_batch.answers import record, records
from mcp_cloud_agents.domain.errors import BackendFailed

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.backends.aws_batch.seen import Seen

NEW_ACCOUNT_VCPUS = 6
"""Fargate On-Demand quota of a new account (AWS Fargate service quotas)."""
_EXPLAIN_AFTER_S = 15.0
"""A start on Fargate takes 30 to 60 s, of which little is RUNNABLE."""
_LOOK_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A queue and what is behind it, as it was looked at once for all of its jobs."""

    queue: Mapping[str, Any]
    """JobQueueDetail; empty: there is none."""
    environments: Sequence[Mapping[str, Any]]
    front: Sequence[str]
    """ARNs of the first 100 jobs, in the order of dispatch."""


def explain(job: Seen, line: Line, *, vcpus: float, waits_s: float) -> str:
    """One or two sentences for people; the first thing that is wrong, with the way out."""
    for problem in (_of_queue(line), _told(job), _of_environments(line, vcpus)):
        if problem:
            return problem
    return _of_capacity(job, line, vcpus, waits_s)


def _of_queue(line: Line) -> str:
    queue = line.queue
    if not queue:
        return "its job queue does not exist any more; terraform apply makes it again."
    name = queue.get("jobQueueName", "?")
    if queue.get("state") == "DISABLED":
        return f"the job queue {name} is DISABLED; enable it, or cancel the job."
    if queue.get("status") not in ("VALID", "UPDATING", "CREATING", None):
        return f"the job queue {name} is {queue.get('status')}: {queue.get('statusReason', '')}."
    return ""


def _told(job: Seen) -> str:
    """What Batch itself says of a blocked queue (its docs: Jobs stuck in RUNNABLE)."""
    reason = job.status_reason
    if not reason.startswith(("CAPACITY:", "MISCONFIGURATION:", "ACTION_REQUIRED")):
        return ""
    way_out = (
        "try the other queue, or wait"
        if reason.startswith("CAPACITY:")
        else "lower limits.memory_mib or aws.vcpus, or raise max_vcpus of the module"
    )
    return f"AWS Batch says {reason.rstrip('.')}; {way_out}."


def _of_environments(line: Line, vcpus: float) -> str:
    problems = [problem for one in line.environments if (problem := _wrong_with(one, vcpus))]
    if not line.environments:
        return "its job queue has no compute environment; terraform apply makes one."
    return "; ".join(problems) + "." if len(problems) == len(line.environments) else ""


def _wrong_with(environment: Mapping[str, Any], vcpus: float) -> str:
    name = environment.get("computeEnvironmentName", "?")
    if environment.get("state") == "DISABLED":
        return f"the compute environment {name} is DISABLED; enable it"
    if environment.get("status") == "INVALID":
        return f"the compute environment {name} is INVALID: {environment.get('statusReason', '')}"
    most = _max_vcpus(environment)
    if most < vcpus:
        return f"the compute environment {name} has at most {most:g} vCPUs, the job wants {vcpus:g}"
    return ""


def _of_capacity(job: Seen, line: Line, vcpus: float, waits_s: float) -> str:
    total = sum(_max_vcpus(one) for one in line.environments)
    said = f"it has waited {waits_s:.0f} s for capacity"
    ahead = _ahead(job, line)
    if ahead:
        said += f"; {ahead} {'job is' if ahead == 1 else 'jobs are'} ahead of it"
    said += f"; the queue has {total:g} vCPUs in all, the job wants {vcpus:g}"
    return (
        f"{said}. When few jobs run, look at the account's Fargate quota: a new account has "
        f"{NEW_ACCOUNT_VCPUS} vCPUs (Service Quotas, Fargate)."
    )


def _ahead(job: Seen, line: Line) -> int | None:
    ids = [arn.rpartition("/")[2] for arn in line.front]
    return ids.index(job.batch_id) if job.batch_id in ids else None


def _max_vcpus(environment: Mapping[str, Any]) -> float:
    return float(record(environment, "computeResources").get("maxvCpus") or 0)


class Lines:
    """Looks at queues, at most every 30 s each, whoever asks."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._looked: dict[str, tuple[float, Line]] = {}
        self._lock = anyio.Lock()

    async def why(self, job: Seen, *, vcpus: float, now: float) -> str:
        """Why the job waits; empty when it is too early to say, or nobody may look."""
        waits_s = now - max(job.created_at, *(a.stopped_at or 0.0 for a in job.attempts), 0.0)
        told = job.status_reason.startswith(("CAPACITY:", "MISCONFIGURATION:", "ACTION_REQUIRED"))
        if waits_s < _EXPLAIN_AFTER_S and not told:
            return ""
        try:
            line = await self._line(job.queue)
        except BackendFailed as exc:
            return f"it has waited {waits_s:.0f} s; why cannot be looked up: {exc.message}"
        return explain(job, line, vcpus=vcpus, waits_s=waits_s)

    async def _line(self, queue: str) -> Line:
        async with self._lock:
            at, line = self._looked.get(queue, (float("-inf"), None))
            if line is None or anyio.current_time() - at > _LOOK_EVERY_S:
                line = await look(self._clients, queue)
                self._looked[queue] = (anyio.current_time(), line)
        return line


async def look(clients: Clients, queue: str) -> Line:
    """Describe a queue and its environments. Raises BackendFailed."""
    doing = "looking at the job queue"
    answer = await clients.read("batch", "describe_job_queues", doing, queue, jobQueues=[queue])
    queues = records(answer, "jobQueues")
    found: Mapping[str, Any] = queues[0] if queues else {}
    names = [one["computeEnvironment"] for one in records(found, "computeEnvironmentOrder")]
    environments: list[Mapping[str, Any]] = []
    if names:
        described = await clients.read(
            "batch",
            "describe_compute_environments",
            "looking at compute environments",
            queue,
            computeEnvironments=names,
        )
        environments = records(described, "computeEnvironments")
    return Line(queue=found, environments=environments, front=await _front(clients, queue, found))


async def _front(clients: Clients, queue: str, found: Mapping[str, Any]) -> list[str]:
    """Where it may not be seen, the rest is told without it."""
    if not found:
        return []
    try:
        answer = await clients.read(
            "batch", "get_job_queue_snapshot", "looking at the line", queue, jobQueue=queue
        )
    except BackendFailed:
        return []
    return [str(one["jobArn"]) for one in records(record(answer, "frontOfQueue"), "jobs")]
