"""Bad days of jobs, asked for by tag, variable or rule."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.emulator.job_faults import JobFault, chance, parse
from mcp_cloud_agents.emulator.refusals import Refused
from tests.emulator.cloud import GROUP, Cloud, tagged


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("cannot_pull", "CannotPullContainerError"),
        ("resource_init", "ResourceInitializationError"),
        ("resource_init reason=ResourceInitializationError:_no_route", "no route"),
    ],
)
def test_a_container_that_never_came_up_has_no_exit_code(
    cloud: Cloud, fault: str, reason: str
) -> None:
    job = cloud.ended(cloud.run("true", **tagged(fault)))
    assert (job["status"], reason in job["statusReason"]) == ("FAILED", True)
    (attempt,) = job["attempts"]
    assert "exitCode" not in attempt["container"]
    assert "startedAt" not in attempt


def test_out_of_memory_is_137_with_its_reason(cloud: Cloud) -> None:
    job = cloud.ended(cloud.run("exec sleep 60", **tagged("oom after=0.05")))
    assert job["container"]["exitCode"] == 137
    assert job["container"]["reason"].startswith("OutOfMemoryError")


def test_a_stuck_job_says_why_and_goes_on_when_the_fault_is_lifted(cloud: Cloud) -> None:
    rule = {"fault": "stuck", "job_name": "held-*"}
    cloud.control("POST", "faults", {"jobs": [rule]})
    definition = cloud.define("d", "true")
    held = cloud.submit(definition, "held-1")
    assert cloud.ended(cloud.submit(definition, "free"))["status"] == "SUCCEEDED"
    job = cloud.job(held)
    assert job["status"] == "RUNNABLE"
    assert job["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    cloud.control("DELETE", "faults")
    assert cloud.ended(held)["status"] == "SUCCEEDED"


def test_a_variable_asks_for_a_fault_as_a_tag_does(cloud: Cloud) -> None:
    variable = {"name": "EMULATOR_FAULT", "value": "cannot_pull attempts=1 + oom attempts=2"}
    job = cloud.ended(
        cloud.run(
            "exec sleep 60",
            containerOverrides={"environment": [variable]},
            retryStrategy={"attempts": 2},
        )
    )
    reasons = [one["container"]["reason"].split(":")[0] for one in job["attempts"]]
    assert reasons == ["CannotPullContainerError", "OutOfMemoryError"]


def test_logs_may_come_after_the_end_or_never(cloud: Cloud) -> None:
    never = cloud.ended(cloud.run("echo lost", **tagged("no_logs")))
    assert cloud.log(never) == []
    late = cloud.ended(cloud.run("echo late", **tagged("log_delay by=1")))
    assert cloud.log(late) == []
    after = cloud.run("true", **tagged("slow_start by=1.2"))
    cloud.ended(after)
    assert cloud.log(late) == ["late"]


def test_a_slow_start_is_seen_as_starting(cloud: Cloud) -> None:
    job_id = cloud.run("true", **tagged("slow_start by=60"))
    job = cloud.until(job_id, "STARTING")
    assert "startedAt" not in job
    cloud.batch.terminate_job(jobId=job_id, reason="too slow")
    assert cloud.ended(job_id)["statusReason"] == "too slow"


def test_a_share_of_attempts_is_met_and_the_seed_says_which(cloud: Cloud) -> None:
    rule = {"fault": "cannot_pull", "rate": 0.5, "seed": 7}
    cloud.control("POST", "faults", {"jobs": [rule]})
    definition = cloud.define("d", "true")
    names = [f"job-{n}" for n in range(12)]
    ids = [cloud.submit(definition, name, retryStrategy={"attempts": 10}) for name in names]
    for name, job_id in zip(names, ids, strict=True):
        lost = [n for n in range(1, 11) if chance(7, name, None, n) < 0.5]
        expected = next(n for n in range(1, 12) if n not in lost)
        assert len(cloud.ended(job_id)["attempts"]) == min(expected, 10)


def test_the_written_form_is_read_whole() -> None:
    assert parse("reclaim after=0.5 attempts=1,3 on=ec2 + no_logs") == (
        JobFault("reclaim", after_s=0.5, attempts=frozenset({1, 3}), host=True),
        JobFault("no_logs"),
    )


@pytest.mark.parametrize("text", ["thunder", "oom often=1", "oom after=soon", "oom attempts=x"])
def test_a_fault_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="fault"):
        parse(text)


def test_the_default_log_group_is_made_by_batch(cloud: Cloud) -> None:
    cloud.logs.delete_log_group(logGroupName=GROUP)
    job = cloud.ended(
        cloud.run("echo here", container={"logConfiguration": {"logDriver": "awslogs"}})
    )
    stream = job["container"]["logStreamName"]
    told = cloud.logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream)
    assert [event["message"] for event in told["events"]] == ["here"]
