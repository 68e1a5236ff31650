"""The kill switch against an emulated account: everything of ours ends, nothing of others does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.backends.aws_batch.clients import Clients
from mcp_cloud_agents.backends.aws_batch.kill_switch import MOST_TERMINATED, KillSwitch
from mcp_cloud_agents.domain.stopping import Step
from mcp_cloud_agents.settings import AwsSettings
from tests.unit.backends.aws_batch.conftest import Cloud

STUCK = {"emulator:fault": "stuck"}
"""They wait for a machine until somebody ends them."""


@pytest.fixture
def queue(cloud: Cloud) -> Iterator[str]:
    yield cloud.aws.queues[cloud.aws.queue]
    anyio.run(KillSwitch(Clients(cloud.aws), cloud.aws).resume)


def switch(aws: AwsSettings) -> KillSwitch:
    return KillSwitch(Clients(aws), aws)


def submit(cloud: Cloud, queue: str, name: str) -> str:
    definition = cloud.aws.job_definitions["x86_64"]
    made = cloud.client("batch").submit_job(
        jobName=name,
        jobQueue=queue,
        jobDefinition=definition,
        timeout={"attemptDurationSeconds": 900},
        tags=STUCK,
    )
    return made["jobId"]


def told(cloud: Cloud, job_id: str) -> Any:
    [found] = cloud.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    return found


def test_all_our_jobs_are_terminated_and_the_queue_refuses_new_ones(
    cloud: Cloud, queue: str
) -> None:
    ours = [submit(cloud, queue, f"mca-j{number:03}") for number in range(MOST_TERMINATED + 1)]
    theirs = submit(cloud, queue, "nightly-report")
    steps = anyio.run(switch(cloud.aws).stop)
    assert [one.problem for one in steps] == [""] * len(steps)
    assert sum("disabled" in one.said for one in steps) == len(set(cloud.aws.queues.values()))
    assert any(one.said.startswith(f"{len(ours)} jobs ended") for one in steps)
    assert all(told(cloud, one)["isTerminated"] for one in (ours[0], ours[-1]))
    assert cloud.calls("batch", "TerminateJobs") == 2
    assert not told(cloud, theirs).get("isTerminated")
    with pytest.raises(Exception, match=r"(?i)disabled|not enabled|state"):
        submit(cloud, queue, "mca-late")


def test_stopping_again_changes_nothing_and_resuming_opens_the_queue(
    cloud: Cloud, queue: str
) -> None:
    first = anyio.run(switch(cloud.aws).stop)
    again = anyio.run(switch(cloud.aws).stop)
    assert [one.problem for one in (*first, *again)] == [""] * 2 * len(first)
    assert all(not one.problem for one in anyio.run(switch(cloud.aws).resume))
    assert submit(cloud, queue, "mca-after")


def test_each_step_goes_on_when_another_fails(cloud: Cloud, queue: str) -> None:
    job = submit(cloud, queue, "mca-running")
    cloud.faults(
        api=[
            {
                "kind": "error",
                "service": "batch",
                "action": "UpdateJobQueue",
                "code": "AccessDeniedException",
                "status": 403,
            }
        ]
    )
    steps = anyio.run(switch(cloud.aws).stop)
    refused = [one for one in steps if one.problem]
    assert all("disabled" in one.said and "batch:UpdateJobQueue" in one.hint for one in refused)
    assert len(refused) == len(set(cloud.aws.queues.values()))
    assert told(cloud, job)["isTerminated"]
    cloud.faults()


def test_an_account_out_of_reach_is_a_step_that_failed() -> None:
    aws = AwsSettings(
        region="us-east-1",
        queues={"fargate": "q"},  # pyright: ignore[reportArgumentType]  a StrEnum's value
        endpoint_url="http://127.0.0.1:9",
    )
    steps: tuple[Step, ...] = anyio.run(switch(aws).stop)
    assert len(steps) == 2
    assert all(one.problem and one.hint for one in steps)
