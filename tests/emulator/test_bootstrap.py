"""The ready set, and many jobs in it."""

from __future__ import annotations

import json
import os
import threading

import pytest

from mcp_cloud_agents.emulator.bootstrap import bootstrap
from mcp_cloud_agents.emulator.emulator import Emulator
from tests.emulator.cloud import Cloud


@pytest.fixture
def bare(emulator: Emulator) -> Cloud:
    emulator.control.reset()
    return Cloud(emulator)


def test_the_ready_set_is_named_as_terraform_names_it(bare: Cloud) -> None:
    told = bootstrap(bare.emulator.endpoint, "us-east-1")
    outputs = {name: one["value"] for name, one in told.items()}
    assert outputs.pop("events_queue_url").startswith(bare.emulator.endpoint)
    assert outputs.pop("image")
    arn = "arn:aws:iam::123456789012"
    queue = "arn:aws:batch:us-east-1:123456789012:job-queue/mcp-cloud-agents"
    assert outputs == {
        "region": "us-east-1",
        "account_id": "123456789012",
        "profile": "economy",
        "bucket": "mcp-cloud-agents-123456789012-us-east-1",
        "queues": {"fargate": f"{queue}-fargate", "fargate_spot": f"{queue}-fargate_spot"},
        "job_definitions": {"x86_64": "mcp-cloud-agents-x86_64", "arm64": "mcp-cloud-agents-arm64"},
        "log_group": "/mcp-cloud-agents/jobs",
        "ephemeral_storage_gib": 20,
        "job_role_arn": f"{arn}:role/mcp-cloud-agents-job-us-east-1",
        "execution_role_arn": f"{arn}:role/mcp-cloud-agents-execution-us-east-1",
        "submitter_policy_arn": f"{arn}:policy/mcp-cloud-agents-submitter-us-east-1",
    }


def test_a_job_runs_on_the_ready_set_and_is_told_through_its_queue(bare: Cloud) -> None:
    outputs = bootstrap(bare.emulator.endpoint, "us-east-1")
    job_id = bare.submit(
        outputs["job_definitions"]["value"]["arm64"],
        queue=outputs["queues"]["value"]["fargate_spot"],
        containerOverrides={"command": ["echo", "done"]},
    )
    job = bare.ended(job_id)
    stream = job["container"]["logStreamName"]
    assert stream.startswith("job/default/")
    told = bare.logs.get_log_events(
        logGroupName=outputs["log_group"]["value"], logStreamName=stream
    )
    assert [event["message"] for event in told["events"]] == ["done"]
    url = outputs["events_queue_url"]["value"]
    news = bare.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert {json.loads(one["Body"])["detail"]["jobId"] for one in news} == {job_id}


def test_hundreds_of_jobs_at_once_need_no_more_threads(cloud: Cloud) -> None:
    before = threading.active_count()
    cloud.environment("wide", 400)
    cloud.queue("wide", "wide")
    parent = cloud.submit(
        cloud.define("d", "echo $AWS_BATCH_JOB_ARRAY_INDEX; exec sleep 600"),
        queue="wide",
        arrayProperties={"size": 300},
    )
    ids = [f"{parent}:{number}" for number in range(300)]
    jobs = cloud.emulator.state.jobs
    cloud.wait(lambda: all(jobs[one].status.value == "RUNNING" for one in ids))
    assert threading.active_count() <= before + 2
    assert len(cloud.batch.describe_jobs(jobs=ids[:100])["jobs"]) == 100
    cloud.batch.terminate_job(jobId=parent, reason="enough")
    assert cloud.ended(parent)["arrayProperties"]["statusSummary"]["FAILED"] == 300


def test_jobs_end_where_the_system_has_no_pidfd(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    job = cloud.ended(cloud.run("echo here; exit 4"))
    assert (job["container"]["exitCode"], cloud.log(job)) == (4, ["here"])


def test_a_reset_ends_all_processes_and_forgets_all(cloud: Cloud) -> None:
    cloud.client("s3").create_bucket(Bucket="bucket")
    cloud.until(cloud.run("exec sleep 600"), "RUNNING")
    cloud.control("POST", "reset")
    assert cloud.control("GET", "state") == {"jobs": {}, "processes": 0}
    assert cloud.batch.describe_job_queues()["jobQueues"] == []
    assert cloud.client("s3").list_buckets()["Buckets"] == []
