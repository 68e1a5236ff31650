"""What Batch does not take."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.cloud import ROLE, SIZE, Cloud


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"jobName": "-x"}, "valid pattern"),
        ({"jobName": "x" * 129}, "valid pattern"),
        ({"jobQueue": "nowhere"}, "nowhere not found"),
        ({"jobDefinition": "nothing"}, "nothing is not found"),
        ({"arrayProperties": {"size": 1}}, "between 2 and 10000"),
        ({"arrayProperties": {"size": 10_001}}, "between 2 and 10000"),
        ({"dependsOn": [{"jobId": "ghost"}]}, "ghost does not exist"),
        ({"dependsOn": [{"jobId": "x"}] * 21}, "At most 20"),
        ({"dependsOn": [{"type": "SEQUENTIAL"}]}, "array jobs only"),
        ({"timeout": {"attemptDurationSeconds": 0}}, "at least 1"),
        ({"shareIdentifier": "a"}, "share identifier is not allowed"),
        ({"tags": {str(n): "x" for n in range(51)}}, "Too many tags"),
        ({"retryStrategy": {"attempts": 11}}, "between 1 and 10"),
        (
            {"retryStrategy": {"evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]}},
            "not valid",
        ),
        (
            {"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}},
            "must not start with AWS_BATCH",
        ),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "MEMORY", "value": "3000"}]}},
            r"VCPU=1, MEMORY=3000\) are invalid",
        ),
        (
            {"containerOverrides": {"environment": [{"name": "A", "value": "x" * 31_000}]}},
            "30 KiB",
        ),
        ({"tags": {"emulator:fault": "lightning"}}, "kinds are"),
    ],
)
def test_a_submission_is_refused_with_the_reason(
    cloud: Cloud, changed: dict[str, Any], said: str
) -> None:
    given = {"jobName": "job", "jobQueue": "q", "jobDefinition": cloud.define("d", "true")}
    with pytest.raises(cloud.batch.exceptions.ClientException, match=said):
        cloud.batch.submit_job(**{**given, **changed})
    assert cloud.control("GET", "state")["jobs"] == {}


@pytest.mark.parametrize(
    ("changed", "container", "said"),
    [
        ({"type": "multinode"}, {}, "type container only"),
        ({}, {"executionRoleArn": ""}, "EXECUTION_ROLE_ARN_MISSING"),
        ({}, {"privileged": True}, "privileged is not applicable"),
        ({}, {"resourceRequirements": SIZE[:1]}, "VCPU and MEMORY"),
        ({"timeout": {"attemptDurationSeconds": 0}}, {}, "at least 1"),
        ({}, {"command": ["x" * 25_000]}, "24 KiB"),
        ({"jobDefinitionName": "no spaces"}, {}, "valid pattern"),
    ],
)
def test_a_definition_is_refused_with_the_reason(
    cloud: Cloud, changed: dict[str, Any], container: dict[str, Any], said: str
) -> None:
    sound = {"image": "any", "executionRoleArn": ROLE, "resourceRequirements": SIZE}
    given = {
        "jobDefinitionName": "d",
        "type": "container",
        "platformCapabilities": ["FARGATE"],
        "containerProperties": {**sound, **container},
    }
    with pytest.raises(cloud.batch.exceptions.ClientException, match=said):
        cloud.batch.register_job_definition(**{**given, **changed})


@pytest.mark.parametrize("ids", [[], ["x"] * 101])
def test_one_to_a_hundred_jobs_are_described_at_once(cloud: Cloud, ids: list[str]) -> None:
    with pytest.raises(cloud.batch.exceptions.ClientException, match="between 1 and 100"):
        cloud.batch.describe_jobs(jobs=ids)


def test_unknown_jobs_are_left_out(cloud: Cloud) -> None:
    assert cloud.batch.describe_jobs(jobs=["unknown"])["jobs"] == []


def test_a_fair_share_queue_needs_a_share_identifier(cloud: Cloud) -> None:
    policy = cloud.batch.create_scheduling_policy(name="fair", fairsharePolicy={})["arn"]
    cloud.queue("shared", "ce1", schedulingPolicyArn=policy)
    definition = cloud.define("d", "true")
    with pytest.raises(cloud.batch.exceptions.ClientException, match="is required"):
        cloud.submit(definition, queue="shared")
    job = cloud.ended(cloud.submit(definition, queue="shared", shareIdentifier="team"))
    assert job["shareIdentifier"] == "team"


def test_an_inactive_revision_takes_no_jobs(cloud: Cloud) -> None:
    cloud.define("d", "exit 1")
    cloud.define("d", "true")
    cloud.batch.deregister_job_definition(jobDefinition="d:2")
    assert cloud.ended(cloud.submit("d"))["jobDefinition"].endswith("d:1")
    with pytest.raises(cloud.batch.exceptions.ClientException, match="not in ACTIVE"):
        cloud.submit("d:2")


def test_resources_in_use_are_not_deleted(cloud: Cloud) -> None:
    batch = cloud.batch
    batch.update_compute_environment(computeEnvironment="ce1", state="DISABLED")
    with pytest.raises(batch.exceptions.ClientException, match="JobQueue relationship"):
        batch.delete_compute_environment(computeEnvironment="ce1")
    with pytest.raises(batch.exceptions.ClientException, match="DISABLED state"):
        batch.delete_job_queue(jobQueue="q")
    batch.update_job_queue(jobQueue="q", state="DISABLED")
    batch.delete_job_queue(jobQueue="q")
    batch.delete_compute_environment(computeEnvironment="ce1")
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    assert batch.describe_job_queues()["jobQueues"] == []
