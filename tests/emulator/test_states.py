"""A job's way: states, attempts, ends."""

from __future__ import annotations

import contextlib
import json
import os
import select

import pytest

from tests.emulator.cloud import GROUP, Cloud, tagged

EXITED = "Essential container in task exited"
SPOT_ONLY = {
    "attempts": 3,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onStatusReason": "Your Spot Task*", "action": "retry"},
        {"onReason": "*", "action": "EXIT"},
    ],
}


def test_a_job_that_exits_zero_succeeds_with_its_log(cloud: Cloud) -> None:
    job = cloud.ended(cloud.run("echo one; echo; echo two >&2; printf three"))
    assert (job["status"], job["statusReason"]) == ("SUCCEEDED", EXITED)
    assert cloud.log(job) == ["one", "two", "three"]
    container = job["container"]
    assert container["exitCode"] == 0
    assert container["logStreamName"].endswith("/default/" + container["taskArn"].split("/")[-1])
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]


def test_a_job_that_fails_keeps_its_exit_code(cloud: Cloud) -> None:
    job = cloud.ended(cloud.run("exit 7"))
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 7)
    assert len(job["attempts"]) == 1


def test_every_state_is_told_as_an_event_but_not_the_submission(cloud: Cloud) -> None:
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url = sqs.create_queue(QueueName="news")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.batch"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": arn["QueueArn"]}])
    job_id = cloud.run("true")
    cloud.ended(job_id)
    told = [
        json.loads(message["Body"])
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    ]
    assert {one["detail-type"] for one in told} == {"Batch Job State Change"}
    assert {one["account"] for one in told} == {"123456789012"}
    assert sorted(one["detail"]["status"] for one in told) == [
        *("RUNNABLE", "RUNNING", "STARTING", "SUCCEEDED")
    ]
    assert {one["detail"]["jobId"] for one in told} == {job_id}


def test_output_is_in_the_log_while_the_job_runs(cloud: Cloud) -> None:
    job_id = cloud.run("echo early; exec sleep 60")
    stream = cloud.until(job_id, "RUNNING")["container"]["logStreamName"]
    asked = {"logGroupName": GROUP, "logStreamName": stream, "startFromHead": True}
    seen: list[str] = []
    for _ in range(2_000):
        page = cloud.logs.get_log_events(**asked)
        seen += [event["message"] for event in page["events"]]
        if seen:
            break
        asked["nextToken"] = page["nextForwardToken"]
    assert seen == ["early"]
    assert cloud.job(job_id)["status"] == "RUNNING"
    assert cloud.job(job_id)["attempts"] == []


def test_jobs_wait_for_vcpus_in_order(cloud: Cloud) -> None:
    cloud.environment("narrow", 1)
    cloud.queue("one", "narrow")
    definition = cloud.define("d", "exec sleep 60")
    first = cloud.submit(definition, queue="one")
    second = cloud.submit(definition, queue="one")
    cloud.until(second, "RUNNABLE")
    cloud.until(first, "RUNNING")
    cloud.batch.terminate_job(jobId=first, reason="next please")
    started = cloud.until(second, "RUNNING")["startedAt"]
    assert started >= cloud.ended(first)["stoppedAt"]


def test_an_attempt_that_fails_is_tried_again_with_a_stream_of_its_own(cloud: Cloud) -> None:
    script = 'echo "try $AWS_BATCH_JOB_ATTEMPT"; exit $((2 - AWS_BATCH_JOB_ATTEMPT))'
    job = cloud.ended(cloud.run(script, retryStrategy={"attempts": 3}))
    assert job["status"] == "SUCCEEDED"
    assert [one["container"]["exitCode"] for one in job["attempts"]] == [1, 0]
    assert (cloud.log(job, 0), cloud.log(job, 1)) == (["try 1"], ["try 2"])
    assert len({one["container"]["taskArn"] for one in job["attempts"]}) == 2


@pytest.mark.parametrize(
    ("script", "strategy", "attempts"),
    [
        ("exit 3", {"attempts": 2, "evaluateOnExit": [{"onExitCode": "4", "action": "EXIT"}]}, 2),
        ("exit 3", {"attempts": 2, "evaluateOnExit": [{"onExitCode": "3", "action": "EXIT"}]}, 1),
        ("exit 31", {"attempts": 2, "evaluateOnExit": [{"onExitCode": "3*", "action": "EXIT"}]}, 1),
        (
            "exit 3",
            {
                "attempts": 2,
                "evaluateOnExit": [
                    {"onExitCode": "3", "onStatusReason": "Host*", "action": "EXIT"},
                    {"onExitCode": "3", "action": "RETRY"},
                    {"onReason": "*", "action": "EXIT"},
                ],
            },
            2,
        ),
        ("exit 3", SPOT_ONLY, 1),
    ],
)
def test_the_first_condition_that_wholly_matches_decides(
    cloud: Cloud, script: str, strategy: dict[str, object], attempts: int
) -> None:
    job = cloud.ended(cloud.run(script, retryStrategy=strategy))
    assert (job["status"], len(job["attempts"])) == ("FAILED", attempts)


@pytest.mark.parametrize(
    ("fault", "reason", "code"),
    [
        ("reclaim attempts=1", "Your Spot Task was interrupted.", 143),
        ("reclaim attempts=1 on=ec2", "Host EC2 (instance ", None),
    ],
)
def test_a_reclaimed_attempt_is_retried_and_no_other(
    cloud: Cloud, fault: str, reason: str, code: int | None
) -> None:
    script = 'test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exec sleep 60'
    job = cloud.ended(cloud.run(script, retryStrategy=SPOT_ONLY, **tagged(fault)))
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)
    lost = job["attempts"][0]
    assert lost["statusReason"].startswith(reason)
    assert lost["container"].get("exitCode") == code


def test_a_timeout_ends_the_job_and_is_never_retried(cloud: Cloud) -> None:
    job = cloud.ended(
        cloud.run(
            "exec sleep 60",
            timeout={"attemptDurationSeconds": 1},
            retryStrategy={"attempts": 3},
        )
    )
    assert (job["status"], len(job["attempts"])) == ("FAILED", 1)
    assert job["statusReason"] == "Job attempt duration exceeded timeout"
    assert job["container"]["exitCode"] == 143


def test_a_process_that_ignores_the_signal_is_killed_after_the_grace(cloud: Cloud) -> None:
    script = "trap '' TERM; echo deaf; while :; do sleep 1; done"
    job = cloud.ended(cloud.run(script, timeout={"attemptDurationSeconds": 1}))
    assert job["container"]["exitCode"] == 137


def test_what_a_job_leaves_behind_ends_with_it(cloud: Cloud) -> None:
    script = "sleep 600 & echo $!; exit 0"
    job = cloud.ended(cloud.run(script))
    (pid,) = cloud.log(job)
    assert job["status"] == "SUCCEEDED"
    assert not _runs(int(pid))


def test_what_left_the_session_of_a_job_ends_too(cloud: Cloud) -> None:
    job = cloud.ended(cloud.run("setsid sh -c 'echo $$; exec sleep 600' & sleep 0.2"))
    (pid,) = cloud.log(job)
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(int(pid))
        try:
            assert select.select([descriptor], [], [], 20)[0], "it still runs"
        finally:
            os.close(descriptor)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False
