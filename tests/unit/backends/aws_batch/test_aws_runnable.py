"""Why a job waits, told from what queue and compute environments look like."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_cloud_agents.backends.aws_batch.runnable import Line, explain
from mcp_cloud_agents.backends.aws_batch.seen import Rank, Seen

QUEUE = {"jobQueueName": "agents", "state": "ENABLED", "status": "VALID"}


def an_environment(**changes: Any) -> dict[str, Any]:
    made = {"computeEnvironmentName": "fargate", "state": "ENABLED", "status": "VALID"}
    return {**made, "computeResources": {"maxvCpus": 16}, **changes}


def why(*, reason: str = "", queue: Any = QUEUE, environments: Any = None, front: Any = ()) -> str:
    job = Seen(batch_id="b-1", rank=Rank.RUNNABLE, status_reason=reason)
    made = [an_environment()] if environments is None else environments
    line = Line(queue=queue, environments=made, front=front)
    return explain(job, line, vcpus=2, waits_s=42)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"queue": {}}, "its job queue does not exist any more"),
        ({"queue": {**QUEUE, "state": "DISABLED"}}, "the job queue agents is DISABLED"),
        (
            {"queue": {**QUEUE, "status": "INVALID", "statusReason": "no role"}},
            "the job queue agents is INVALID: no role",
        ),
        ({"environments": []}, "has no compute environment"),
        (
            {"environments": [an_environment(state="DISABLED")]},
            "the compute environment fargate is DISABLED; enable it",
        ),
        (
            {"environments": [an_environment(status="INVALID", statusReason="role is gone")]},
            "INVALID: role is gone",
        ),
        (
            {"environments": [an_environment(computeResources={"maxvCpus": 1})]},
            "at most 1 vCPUs, the job wants 2",
        ),
        (
            {"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none left."},
            "AWS Batch says CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none left; try the other",
        ),
        (
            {"reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - x"},
            "lower limits.memory_mib or aws.vcpus",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(given: dict[str, Any], told: str) -> None:
    assert told in why(**given)


def test_one_usable_environment_is_enough() -> None:
    both = [an_environment(state="DISABLED"), an_environment()]
    assert "DISABLED" not in why(environments=both)


def test_a_job_that_only_waits_for_its_turn_hears_its_place_and_the_quota() -> None:
    front = [f"arn:aws:batch:r:1:job/{name}" for name in ("b-7", "b-8", "b-1")]
    assert why(front=front) == (
        "it has waited 42 s for capacity; 2 jobs are ahead of it; the queue has 16 vCPUs in all, "
        "the job wants 2. When few jobs run, look at the account's Fargate quota: a new account "
        "has 6 vCPUs (Service Quotas, Fargate)."
    )
