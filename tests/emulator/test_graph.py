"""Dependencies and arrays."""

from __future__ import annotations

from itertools import pairwise

from tests.emulator.cloud import Cloud, tagged


def test_a_job_waits_for_the_one_it_depends_on(cloud: Cloud) -> None:
    first = cloud.run("true")
    second = cloud.run("true", dependsOn=[{"jobId": first}])
    third = cloud.run("true", dependsOn=[{"jobId": first}, {"jobId": second}])
    assert cloud.ended(third)["startedAt"] >= cloud.ended(second)["stoppedAt"]
    assert cloud.ended(second)["startedAt"] >= cloud.ended(first)["stoppedAt"]


def test_a_failed_dependency_fails_everything_behind_it(cloud: Cloud) -> None:
    first = cloud.run("true", **tagged("cannot_pull"))
    second = cloud.run("true", dependsOn=[{"jobId": first}])
    third = cloud.run("true", dependsOn=[{"jobId": second}])
    job = cloud.ended(third)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")
    late = cloud.run("true", dependsOn=[{"jobId": first}])
    assert cloud.ended(late)["statusReason"] == "Dependent Job failed"


def test_an_array_has_children_with_an_index_each(cloud: Cloud) -> None:
    parent = cloud.run('echo "index $AWS_BATCH_JOB_ARRAY_INDEX"', arrayProperties={"size": 3})
    job = cloud.ended(parent)
    assert (job["status"], job["arrayProperties"]["statusSummary"]["SUCCEEDED"]) == ("SUCCEEDED", 3)
    children = [cloud.job(f"{parent}:{index}") for index in range(3)]
    assert [cloud.log(child) for child in children] == [["index 0"], ["index 1"], ["index 2"]]
    assert [child["arrayProperties"] for child in children] == [{"index": n} for n in range(3)]


def test_an_array_is_pending_until_all_children_end_and_fails_with_one(cloud: Cloud) -> None:
    script = 'test "$AWS_BATCH_JOB_ARRAY_INDEX" != 1 || exit 5'
    parent = cloud.run(script, arrayProperties={"size": 3}, **tagged("slow_start by=0.05"))
    assert cloud.until(parent, "PENDING")
    job = cloud.ended(parent)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Array Child Job failed")
    summary = job["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (2, 1)


def test_terminating_an_array_ends_all_its_children(cloud: Cloud) -> None:
    parent = cloud.run("exec sleep 60", arrayProperties={"size": 12})
    cloud.until(f"{parent}:0", "RUNNING")
    cloud.batch.terminate_job(jobId=parent, reason="stop")
    job = cloud.ended(parent)
    assert (job["statusReason"], job["isTerminated"]) == ("stop", True)
    assert job["arrayProperties"]["statusSummary"]["FAILED"] == 12


def test_sequential_children_run_one_after_the_other(cloud: Cloud) -> None:
    parent = cloud.run("true", arrayProperties={"size": 4}, dependsOn=[{"type": "SEQUENTIAL"}])
    assert cloud.ended(parent)["status"] == "SUCCEEDED"
    children = [cloud.job(f"{parent}:{index}") for index in range(4)]
    for before, after in pairwise(children):
        assert after["startedAt"] >= before["stoppedAt"]


def test_n_to_n_pairs_the_children_of_two_arrays(cloud: Cloud) -> None:
    script = 'test "$AWS_BATCH_JOB_ARRAY_INDEX" = 1'
    first = cloud.run(script, arrayProperties={"size": 2})
    second = cloud.run(
        "true", arrayProperties={"size": 2}, dependsOn=[{"jobId": first, "type": "N_TO_N"}]
    )
    cloud.ended(second)
    assert cloud.job(f"{second}:0")["statusReason"] == "Dependent Job failed"
    assert cloud.job(f"{second}:1")["status"] == "SUCCEEDED"
