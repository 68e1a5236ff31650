"""A job as the arguments of SubmitJob; pure, and held against botocore's own model by a test.

The specification is an object in S3; the overrides carry its address alone, as everybody with
DescribeJobs can read them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.backends.aws_batch.sizes import on_fargate, on_instances
from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.resilience.deadline import Deadline, attempt_limit_s
from mcp_cloud_agents.settings import AwsQueue
from mcp_cloud_agents.storage.job_objects import TRY_AGAIN

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.sizes import Size
    from mcp_cloud_agents.domain.job import JobId, JobSpec
    from mcp_cloud_agents.domain.sandbox import Limits
    from mcp_cloud_agents.settings import AwsSettings

Json = dict[str, Any]
MAX_PAYLOAD_BYTES = 30 * 1024
MAX_NAME_CHARS = 128
JOB_TAG = "mcp-cloud-agents:job"
AGENT_TAG = "mcp-cloud-agents:agent"
NAME_PREFIX = "mca-"
_MIN_TIMEOUT_S = 60  # Batch refuses less


def job_name(job_id: JobId) -> str:
    """The unique name in Batch, by which a job is found again."""
    return f"{NAME_PREFIX}{job_id}"[:MAX_NAME_CHARS]


def submit_job(spec: JobSpec, aws: AwsSettings, now: float) -> Json:
    """The arguments of SubmitJob.

    Args:
        spec: of the job.
        aws: where it goes.
        now: seconds since the epoch.

    Raises:
        InvalidArgument: the job is larger than Fargate's largest size, or its request too long.
    """
    request: Json = {
        "jobName": job_name(spec.id),
        "jobQueue": aws.queues[aws.queue],
        "jobDefinition": aws.job_definitions[aws.definition_key],
        "containerOverrides": {
            "environment": [
                {"name": "JOB_SPEC", "value": f"s3://{aws.bucket}/jobs/{spec.id}/spec.json"}
            ],
            "resourceRequirements": _requirements(size_of(spec.limits, aws), aws.queue),
        },
        "timeout": {"attemptDurationSeconds": _timeout_s(spec, now)},
        "retryStrategy": _retries(aws.attempts),
        "tags": {**aws.tags, JOB_TAG: str(spec.id), AGENT_TAG: spec.agent[:256]},
        "propagateTags": True,
    }
    size = len(json.dumps(request).encode())
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidArgument(
            f"The request for AWS Batch has {size} bytes; it takes {MAX_PAYLOAD_BYTES}.",
            hint="Shorten [aws.tags] in your configuration file.",
        )
    return request


def size_of(limits: Limits, aws: AwsSettings) -> Size:
    """What the job gets on the queue it goes to. Raises InvalidArgument."""
    fit = on_instances if aws.queue.on_instances else on_fargate
    return fit(vcpus=aws.vcpus, memory_mib=limits.memory_mib)


def attempt_s(spec: JobSpec) -> int:
    """The longest one attempt can take by the worker's own limits; Batch ends it after that.

    It is the guard that works when everything of ours is dead.
    """
    return int(attempt_limit_s(spec.limits, sets_up=bool(spec.setup.commands)))


def _timeout_s(spec: JobSpec, now: float) -> int:
    """The same, or what is left until the job's deadline."""
    deadline = Deadline(float("inf") if spec.deadline_at is None else spec.deadline_at)
    return max(_MIN_TIMEOUT_S, int(deadline.share(now, attempt_s(spec))))


def _requirements(size: Size, queue: AwsQueue) -> list[Json]:
    wanted = [
        {"type": "VCPU", "value": f"{size.vcpus:g}"},
        {"type": "MEMORY", "value": str(size.memory_mib)},
    ]
    return [*wanted, {"type": "GPU", "value": "1"}] if queue is AwsQueue.GPU else wanted


def _retries(attempts: int) -> Json:
    """Reasons for another attempt: a machine that went away, a store out of the worker's reach.

    Without the last line Batch would try again after every failure.
    """
    return {
        "attempts": attempts,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onStatusReason": "Your Spot Task*", "action": "RETRY"},
            {"onExitCode": str(TRY_AGAIN), "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }
