"""Terminate, cancel, disable."""

from __future__ import annotations

import pytest

from tests.emulator.cloud import Cloud, tagged


def test_terminate_ends_a_running_job_with_the_reason_given(cloud: Cloud) -> None:
    job_id = cloud.run("exec sleep 60", retryStrategy={"attempts": 5})
    cloud.until(job_id, "RUNNING")
    cloud.batch.terminate_job(jobId=job_id, reason="not needed any more")
    job = cloud.ended(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "not needed any more")
    assert (job["isTerminated"], job["isCancelled"], len(job["attempts"])) == (True, False, 1)
    assert job["container"]["exitCode"] == 143


def test_cancel_succeeds_and_does_nothing_once_a_job_runs(cloud: Cloud) -> None:
    job_id = cloud.run("trap 'exit 0' USR1; echo $$; while :; do sleep 0.01; done")
    cloud.until(job_id, "RUNNING")
    cloud.batch.cancel_job(jobId=job_id, reason="too late")
    assert cloud.job(job_id)["isCancelled"] is False
    cloud.batch.terminate_job(jobId=job_id, reason="now")
    assert cloud.ended(job_id)["statusReason"] == "now"


@pytest.mark.parametrize("call", ["cancel_job", "terminate_job"])
def test_a_job_that_waits_for_capacity_ends_at_once(cloud: Cloud, call: str) -> None:
    job_id = cloud.run("true", **tagged("stuck"))
    cloud.until(job_id, "RUNNABLE")
    getattr(cloud.batch, call)(jobId=job_id, reason="enough")
    job = cloud.ended(job_id)
    assert (job["status"], job["statusReason"], job["attempts"]) == ("FAILED", "enough", [])


def test_a_pending_job_is_cancelled_when_its_dependency_has_ended(cloud: Cloud) -> None:
    first = cloud.run("true", **tagged("stuck"))
    second = cloud.run("true", dependsOn=[{"jobId": first}])
    cloud.until(second, "PENDING")
    cloud.batch.cancel_job(jobId=second, reason="no")
    assert cloud.job(second)["status"] == "PENDING"
    cloud.emulator.control.set_faults({})
    cloud.batch.terminate_job(jobId=first, reason="go")
    assert cloud.ended(second)["status"] == "FAILED"


def test_many_are_terminated_in_one_call_and_unknown_ones_count(cloud: Cloud) -> None:
    definition = cloud.define("d", "exec sleep 60")
    ids = [cloud.submit(definition, f"job-{n}") for n in range(3)]
    answer = cloud.batch.terminate_jobs(jobs=[*ids, "unknown"], reason="all")
    assert (answer["successful"], answer["errors"]) == ([*ids, "unknown"], [])
    assert {cloud.ended(one)["statusReason"] for one in ids} == {"all"}


def test_at_most_fifty_are_terminated_in_one_call(cloud: Cloud) -> None:
    with pytest.raises(cloud.batch.exceptions.ClientException, match="between 1 and 50"):
        cloud.batch.terminate_jobs(jobs=["x"] * 51, reason="all")


def test_a_disabled_queue_refuses_new_jobs_and_runs_those_it_has(cloud: Cloud) -> None:
    cloud.environment("off", 4)
    cloud.queue("later", "off")
    cloud.batch.update_compute_environment(computeEnvironment="off", state="DISABLED")
    definition = cloud.define("d", "true")
    waiting = cloud.submit(definition, queue="later")
    cloud.until(waiting, "RUNNABLE")
    cloud.batch.update_job_queue(jobQueue="later", state="DISABLED")
    with pytest.raises(cloud.batch.exceptions.ClientException, match="DISABLED"):
        cloud.submit(definition, queue="later")
    cloud.batch.update_compute_environment(computeEnvironment="off", state="ENABLED")
    assert cloud.ended(waiting)["status"] == "SUCCEEDED"


def test_a_job_that_never_fits_says_why_and_is_given_up_by_the_queue(cloud: Cloud) -> None:
    cloud.environment("tiny", 1)
    why = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    limit = {"reason": why, "state": "RUNNABLE", "maxTimeSeconds": 1, "action": "CANCEL"}
    cloud.queue("small", "tiny", jobStateTimeLimitActions=[limit])
    needs = [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "4096"}]
    job = cloud.ended(
        cloud.run("true", queue="small", containerOverrides={"resourceRequirements": needs})
    )
    assert job["status"] == "FAILED"
    assert job["statusReason"].startswith(why)
