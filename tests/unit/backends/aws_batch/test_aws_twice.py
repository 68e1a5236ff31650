"""SubmitJob knows no token: whatever becomes of its answers, a job is done by one job of Batch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.backends.aws_batch.request import submit_job
from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Backend
from mcp_cloud_agents.storage.job_objects import JobObjects
from mcp_cloud_agents.storage.s3_store import S3Store
from tests.tiers import tiers
from tests.unit.backends.aws_batch.conftest import Cloud

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
SUBMITS = {"service": "batch", "action": "SubmitJob"}


async def ended(backend: Backend, job_id: JobId) -> JobStatus:
    with anyio.fail_after(45):
        async with backend.watch(job_id) as watch:
            while not (status := await backend.status(job_id)).state.done:
                await watch.changed(timeout_s=2)
    return status


def objects(cloud: Cloud, spec: JobSpec) -> JobObjects:
    return JobObjects(S3Store(cloud.client("s3"), cloud.aws.bucket), spec.id)


def submit_past_us(cloud: Cloud, spec: JobSpec, **changes: Any) -> str:
    """As a lost SubmitJob does that was done all the same."""
    request = submit_job(spec, cloud.aws, time.time()) | changes
    return cloud.client("batch").submit_job(**request)["jobId"]


async def prepared(cloud: Cloud, spec: JobSpec) -> None:
    """All but SubmitJob."""
    refusal = {**SUBMITS, "kind": "error", "code": "ClientException", "status": 400, "times": 1}
    cloud.faults(api=[refusal])
    with pytest.raises(BackendFailed):
        await cloud.backend().submit(spec)
    cloud.faults()


def workers(marks: Path) -> list[str]:
    return marks.read_text().split()


async def test_of_two_jobs_of_one_name_one_does_the_work(cloud: Cloud, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    backend, spec = cloud.backend(), cloud.spec(f"mark {marks}; sleep 1; exit 5")
    await backend.submit(spec)
    submit_past_us(cloud, spec)
    assert (await ended(backend, spec.id)).state is JobState.SUCCEEDED
    assert (await ended(cloud.backend(), spec.id)).state is JobState.SUCCEEDED
    owner = objects(cloud, spec).owner()
    assert workers(marks) == [spec.id, owner, "began", spec.id, owner, "completed"]


@pytest.mark.slow
async def test_whoever_follows_a_duplicate_is_led_to_the_one_that_works(
    cloud: Cloud, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    backend, spec = cloud.backend(), cloud.spec(f"mark {marks}; exit 5")
    await prepared(cloud, spec)
    slow = {"emulator:fault": "slow_start by=2.5"}
    first = submit_past_us(cloud, spec, jobName="a-name-not-seen-yet", tags=slow)
    assert objects(cloud, spec).take(first) == first
    await backend.submit(spec)
    assert (await ended(backend, spec.id)).state is JobState.SUCCEEDED
    result = await backend.result(spec.id)
    assert result is not None
    assert result.exit_code == 5
    assert workers(marks) == [spec.id, first, "began", spec.id, first, "completed"]


async def test_a_job_that_was_told_as_ended_is_done_by_nobody_later(
    cloud: Cloud, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    backend, spec = cloud.backend(), cloud.spec(f"mark {marks}; exit 0")
    cloud.faults(jobs=[{"fault": "cannot_pull", "job_name": "mca-*"}])
    await backend.submit(spec)
    assert (await ended(backend, spec.id)).state is JobState.FAILED
    late = submit_past_us(cloud, spec, jobName="late")
    state = cloud.emulator.state
    with state.lock:
        assert state.lock.wait_for(lambda: state.jobs[late].status.value == "SUCCEEDED", 30)
    assert not marks.exists()


@pytest.mark.parametrize("kind", tiers(["throttle"], "error"))
async def test_a_submit_that_fails_some_times_is_made_again(cloud: Cloud, kind: str) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    cloud.faults(api=[{**SUBMITS, "kind": kind, "times": 2}])
    await backend.submit(spec)
    assert cloud.calls("batch", "SubmitJob") == 3
    assert (await ended(backend, spec.id)).state is JobState.SUCCEEDED


@pytest.mark.slow
async def test_a_claim_of_one_that_died_is_taken_over(cloud: Cloud) -> None:
    spec = cloud.spec("exit 0")
    objects(cloud, spec)._store.put_new(f"jobs/{spec.id}/claims/0", b"of a process that is gone")
    backend = cloud.backend()
    await backend.submit(spec)
    assert cloud.calls("batch", "SubmitJob") == 1
    assert (await ended(backend, spec.id)).state is JobState.SUCCEEDED
