"""ListJobs, GetJobQueueSnapshot, tags; answers held against the service's own model."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from tests.emulator.cloud import Cloud, tagged


def names(answer: dict[str, Any]) -> list[str]:
    return [one["jobName"] for one in answer["jobSummaryList"]]


def test_without_a_status_only_running_jobs_are_listed(cloud: Cloud) -> None:
    cloud.ended(cloud.run("true", name="done"))
    running = cloud.run("exec sleep 60", name="busy")
    cloud.until(running, "RUNNING")
    batch = cloud.batch
    assert names(batch.list_jobs(jobQueue="q")) == ["busy"]
    assert names(batch.list_jobs(jobQueue="q", jobStatus="SUCCEEDED")) == ["done"]


def test_a_filter_sees_every_state_whatever_the_status(cloud: Cloud) -> None:
    cloud.ended(cloud.run("true", name="mca-Abc"))
    cloud.until(cloud.run("true", name="mca-abd", **tagged("stuck")), "RUNNABLE")
    cloud.ended(cloud.run("true", name="other"))

    def listed(name: str, value: str) -> list[str]:
        filters = [{"name": name, "values": [value]}]
        return names(cloud.batch.list_jobs(jobQueue="q", jobStatus="RUNNING", filters=filters))

    assert listed("JOB_NAME", "MCA-abc") == ["mca-Abc"]
    assert listed("JOB_NAME", "mca-*") == ["mca-abd", "mca-Abc"]
    assert listed("JOB_DEFINITION", "d2") == ["other"]
    assert listed("AFTER_CREATED_AT", "0") == ["other", "mca-abd", "mca-Abc"]
    assert listed("BEFORE_CREATED_AT", "1") == []


def test_two_filters_at_once_are_refused(cloud: Cloud) -> None:
    one = {"name": "JOB_NAME", "values": ["a"]}
    with pytest.raises(cloud.batch.exceptions.ClientException, match="one filter"):
        cloud.batch.list_jobs(jobQueue="q", filters=[one, one])


def test_pages_are_complete_and_newest_first(cloud: Cloud) -> None:
    definition = cloud.define("d", "true")
    ids = [cloud.submit(definition, f"job-{n}") for n in range(7)]
    for one in ids:
        cloud.ended(one)
    pages = cloud.batch.get_paginator("list_jobs").paginate(
        jobQueue="q", jobStatus="SUCCEEDED", PaginationConfig={"PageSize": 3}
    )
    found = [names(page) for page in pages]
    assert [len(page) for page in found] == [3, 3, 1]
    assert [name for page in found for name in page] == [f"job-{n}" for n in reversed(range(7))]


def test_children_are_listed_with_their_array_only(cloud: Cloud) -> None:
    parent = cloud.run("true", name="many", arrayProperties={"size": 3})
    cloud.ended(parent)
    batch = cloud.batch
    assert names(batch.list_jobs(jobQueue="q", jobStatus="SUCCEEDED")) == ["many"]
    children = batch.list_jobs(arrayJobId=parent, jobStatus="SUCCEEDED")["jobSummaryList"]
    assert {one["jobId"] for one in children} == {f"{parent}:{n}" for n in range(3)}
    assert batch.list_jobs(arrayJobId=parent)["jobSummaryList"] == []


def test_the_snapshot_shows_the_front_of_the_queue_in_order(cloud: Cloud) -> None:
    cloud.environment("narrow", 1)
    cloud.queue("one", "narrow")
    definition = cloud.define("d", "exec sleep 60")
    first, *waiting = [cloud.submit(definition, queue="one") for _ in range(4)]
    cloud.until(first, "RUNNING")
    cloud.until(waiting[-1], "RUNNABLE")
    snapshot = cloud.batch.get_job_queue_snapshot(jobQueue="one")
    arns = [one["jobArn"].rpartition("/")[2] for one in snapshot["frontOfQueue"]["jobs"]]
    assert arns == waiting
    used = snapshot["queueUtilization"]["totalCapacityUsage"]
    assert used == [{"capacityUnit": "VCPU", "quantity": 1.0}]


def test_the_least_used_share_goes_first(cloud: Cloud) -> None:
    policy = cloud.batch.create_scheduling_policy(
        name="fair", fairsharePolicy={"shareDistribution": [{"shareIdentifier": "a"}]}
    )["arn"]
    cloud.environment("narrow", 2)
    cloud.queue("shared", "narrow", schedulingPolicyArn=policy)
    definition = cloud.define("d", "exec sleep 60")
    big = [cloud.submit(definition, queue="shared", shareIdentifier="a") for _ in range(4)]
    cloud.until(big[1], "RUNNING")
    small = cloud.submit(definition, queue="shared", shareIdentifier="b")
    cloud.until(small, "RUNNABLE")
    front = cloud.batch.get_job_queue_snapshot(jobQueue="shared")["frontOfQueue"]["jobs"]
    assert [one["jobArn"].rpartition("/")[2] for one in front] == [small, *big[2:]]


def test_tags_are_kept_and_changed(cloud: Cloud) -> None:
    batch = cloud.batch
    arn = cloud.queue("tagged", "ce1", tags={"a": "1"})
    batch.tag_resource(resourceArn=arn, tags={"b": "2"})
    batch.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    job = cloud.job(cloud.run("true", tags={"team": "x"}))
    assert job["tags"] == {"team": "x"}
    assert batch.list_tags_for_resource(resourceArn=job["jobArn"])["tags"] == {"team": "x"}


def test_answers_have_no_member_that_the_model_does_not_have(cloud: Cloud) -> None:
    job_id = cloud.run("exit 1", timeout={"attemptDurationSeconds": 60}, tags={"a": "b"})
    cloud.ended(job_id)
    model: Any = botocore.session.get_session().get_service_model("batch")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  botocore has no types
    for operation, given in {
        "DescribeJobs": {"jobs": [job_id]},
        "ListJobs": {"jobQueue": "q", "jobStatus": "FAILED"},
        "DescribeJobQueues": {},
        "DescribeComputeEnvironments": {},
        "DescribeJobDefinitions": {},
        "GetJobQueueSnapshot": {"jobQueue": "q"},
    }.items():
        with cloud.emulator.state.lock:
            told = cloud.emulator.batch.answer(
                "POST", f"/v1/{operation.lower()}", "", repr(given).replace("'", '"').encode()
            )
        assert unknown(model.operation_model(operation).output_shape, told, operation) == []


def unknown(shape: Any, value: Any, path: str) -> list[str]:
    if shape.type_name == "structure":
        found = [f"{path}.{name}" for name in value if name not in shape.members]
        inner = [
            unknown(shape.members[name], one, f"{path}.{name}")
            for name, one in value.items()
            if name in shape.members
        ]
        return [*found, *(one for some in inner for one in some)]
    if shape.type_name == "list":
        return [name for one in value for name in unknown(shape.member, one, f"{path}[]")]
    return []
