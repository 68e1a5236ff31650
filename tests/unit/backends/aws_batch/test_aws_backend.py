"""The AWS backend against an emulated account, through the port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.domain.errors import (
    BackendFailed,
    BackendUnavailable,
    CloudCredentials,
    CloudMisconfigured,
    IsolationUnavailable,
    JobCorrupt,
    UnknownArtifact,
    UnknownJob,
)
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Backend, Bytes
from tests.unit.backends.aws_batch.conftest import Cloud

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


async def until(backend: Backend, job_id: JobId, told: Callable[[JobStatus], bool]) -> JobStatus:
    with anyio.fail_after(45):
        async with backend.watch(job_id) as watch:
            while not told(status := await backend.status(job_id)):
                await watch.changed(timeout_s=2)
    return status


def ended(status: JobStatus) -> bool:
    return status.state.done


async def log(backend: Backend, job_id: JobId) -> bytes:
    return (await backend.log(job_id, offset=0, limit=1 << 20)).data


async def said(backend: Backend, job_id: JobId, text: bytes) -> None:
    with anyio.fail_after(30):
        async with backend.watch(job_id) as watch:
            while text not in await log(backend, job_id):
                await watch.changed(timeout_s=1)


async def test_a_job_goes_its_way_and_everybody_sees_it(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("chunk hello; exit 3")
    await backend.submit(spec)
    status = await until(backend, spec.id, ended)
    assert [state for state, _ in status.history] == [
        *(JobState.QUEUED, JobState.STARTING, JobState.RUNNING),
        *(JobState.COLLECTING, JobState.SUCCEEDED),
    ]
    assert [at for _, at in status.history] == sorted(at for _, at in status.history)
    assert (status.cause, status.log_bytes) == (None, 6)
    other = cloud.backend()
    assert await other.status(spec.id) == status
    result = await other.result(spec.id)
    assert result is not None
    assert (result.exit_code, result.state) == (3, JobState.SUCCEEDED)
    assert await log(other, spec.id) == b"hello\n"
    assert (await other.spec(spec.id)).command == spec.command
    assert spec.id in await other.job_ids(limit=1_000)


async def test_submitting_again_from_anywhere_starts_nothing(cloud: Cloud) -> None:
    spec = cloud.spec("chunk ran; sleep 0.3")
    backends = [cloud.backend() for _ in range(3)]
    async with anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(backends[number % 3].submit, spec)
    done = await until(backends[0], spec.id, ended)
    await cloud.backend().submit(spec)
    assert cloud.calls("batch", "SubmitJob") == 1
    assert await cloud.backend().status(spec.id) == done
    assert await log(backends[1], spec.id) == b"ran\n"


@pytest.mark.parametrize("kind", ["lost_answer", "dropped"])
async def test_a_lost_answer_is_looked_up_and_not_repeated(cloud: Cloud, kind: str) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    cloud.faults(api=[{"kind": kind, "service": "batch", "action": "SubmitJob", "times": 1}])
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED
    assert cloud.calls("batch", "SubmitJob") == 1


async def test_a_lost_answer_that_cannot_be_looked_up_is_no_reason_to_run_elsewhere(
    cloud: Cloud,
) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    denied = {"kind": "error", "service": "batch", "action": "ListJobs"}
    denied |= {"code": "AccessDeniedException", "status": 403, "rate": 1.0}
    lost = {"kind": "lost_answer", "service": "batch", "action": "SubmitJob", "times": 1}
    cloud.faults(api=[lost, denied])
    with pytest.raises(BackendFailed) as caught:
        await backend.submit(spec)
    assert not isinstance(caught.value, BackendUnavailable)
    assert "Nobody can say whether" in caught.value.message
    cloud.faults()
    await cloud.backend().submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED
    assert cloud.calls("batch", "SubmitJob") == 1


async def test_a_refused_submit_starts_nothing_and_can_be_repeated(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    refusal = {"kind": "error", "service": "batch", "action": "SubmitJob", "times": 2}
    refusal |= {"code": "ClientException", "status": 400}
    cloud.faults(api=[refusal])
    for _ in range(2):
        with pytest.raises(BackendFailed):
            await backend.submit(spec)
    assert (await backend.status(spec.id)).state is JobState.QUEUED
    await cloud.backend().submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


async def test_a_cancelled_job_keeps_what_its_worker_collected(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("chunk begun; until-cancel")
    await backend.submit(spec)
    await said(backend, spec.id, b"begun")
    await cloud.backend().cancel(spec.id)
    status = await until(backend, spec.id, ended)
    assert status.cause is not None
    assert (status.state, status.cause.kind) == (JobState.CANCELLED, CauseKind.CANCELLED)
    assert await backend.result(spec.id) is not None
    await backend.cancel(spec.id)
    assert await backend.status(spec.id) == status


async def test_a_job_cancelled_in_the_line_never_runs(cloud: Cloud) -> None:
    cloud.faults(jobs=[{"fault": "stuck"}])
    backend, spec = cloud.backend(), cloud.spec("chunk ran")
    await backend.submit(spec)
    await backend.cancel(spec.id)
    status = await until(backend, spec.id, ended)
    assert (status.state, await log(backend, spec.id)) == (JobState.CANCELLED, b"")


async def test_many_jobs_are_cancelled_with_one_call(cloud: Cloud) -> None:
    cloud.faults(jobs=[{"fault": "stuck"}])
    backend, specs = cloud.backend(), [cloud.spec("exit 0") for _ in range(5)]
    for spec in specs:
        await backend.submit(spec)
    await backend.cancel_many([spec.id for spec in specs])
    for spec in specs:
        assert (await until(backend, spec.id, ended)).state is JobState.CANCELLED
    assert cloud.calls("batch", "TerminateJobs") == 1


async def test_a_job_whose_start_is_only_prepared_is_started_by_the_next(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0", created_at=1.0)
    backend._objects.of(spec.id).write_spec(spec)
    assert (await backend.status(spec.id)).state is JobState.LOST
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


@pytest.mark.slow
async def test_a_live_line_is_read_before_it_is_durable_at_the_same_offset(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("chunk one; say two; sleep 3; chunk three")
    await backend.submit(spec)
    await said(backend, spec.id, b"two\n")
    assert [one.size_bytes for one in backend._objects.of(spec.id).chunks()] == [4]
    assert await backend.log(spec.id, offset=4, limit=3) == Bytes(data=b"two", offset=4, size=8)
    await until(backend, spec.id, ended)
    assert await log(cloud.backend(), spec.id) == b"one\ntwo\nthree\n"


async def test_without_cloudwatch_nothing_of_the_log_is_lost(cloud: Cloud) -> None:
    cloud.faults(jobs=[{"fault": "no_logs"}])
    backend, spec = cloud.backend(), cloud.spec("chunk one; say two; sleep 0.2; chunk three")
    await backend.submit(spec)
    await until(backend, spec.id, ended)
    assert await log(backend, spec.id) == b"one\ntwo\nthree\n"


async def test_a_worker_that_dies_leaves_its_log_and_its_last_words(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("chunk one; say two; die")
    await backend.submit(spec)
    status = await until(backend, spec.id, ended)
    assert status.cause is not None
    assert (status.state, status.cause.kind) == (JobState.LOST, CauseKind.SUPERVISOR_DIED)
    assert "exit code 7" in status.cause.message
    assert status.cause.excerpt == ("Traceback: of the worker itself",)
    assert await log(backend, spec.id) == b"one\ntwo\n"
    assert await cloud.backend().status(spec.id) == status
    assert await backend.result(spec.id) is None


@pytest.mark.parametrize(
    ("fault", "state", "kind"),
    [
        ("cannot_pull", JobState.FAILED, CauseKind.IMAGE_PULL),
        ("resource_init", JobState.FAILED, CauseKind.RESOURCE_INITIALIZATION),
        ("oom", JobState.FAILED, CauseKind.OOM),
        pytest.param("reclaim", JobState.FAILED, CauseKind.SPOT_RECLAIMED, marks=pytest.mark.slow),
        pytest.param(
            "reclaim on=ec2", JobState.FAILED, CauseKind.HOST_LOST, marks=pytest.mark.slow
        ),
    ],
)
async def test_causes_are_told_apart(
    cloud: Cloud, fault: str, state: JobState, kind: CauseKind
) -> None:
    cloud.faults(jobs=[{"fault": fault}])
    backend, spec = cloud.backend(attempts=2), cloud.spec("sleep 30")
    await backend.submit(spec)
    status = await until(backend, spec.id, ended)
    assert status.cause is not None
    assert (status.state, status.cause.kind) == (state, kind)
    assert status.cause.hint


async def test_a_reclaimed_job_runs_again_and_is_counted(cloud: Cloud) -> None:
    cloud.faults(jobs=[{"fault": "reclaim after=0.1 attempts=1"}])
    backend, spec = cloud.backend(), cloud.spec("chunk begun; sleep 1")
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED
    batch, queue = cloud.client("batch"), cloud.aws.queues[cloud.aws.queue]
    name = [{"name": "JOB_NAME", "values": [f"mca-{spec.id}"]}]
    (listed,) = batch.list_jobs(jobQueue=queue, filters=name)["jobSummaryList"]

    def job() -> Any:
        return batch.describe_jobs(jobs=[listed["jobId"]])["jobs"][0]

    with anyio.fail_after(20):
        while job()["status"] != "SUCCEEDED":  # noqa: ASYNC110  another process ends it
            await anyio.sleep(0.1)
    assert [one["statusReason"][:14] for one in job()["attempts"]] == [
        "Your Spot Task",
        "Essential cont",
    ]
    assert cloud.calls("batch", "SubmitJob") == 1


async def test_a_stuck_job_says_why_it_waits(cloud: Cloud) -> None:
    cloud.faults(jobs=[{"fault": "stuck"}])
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    await backend.submit(spec)
    status = await until(backend, spec.id, lambda status: bool(status.waiting))
    assert status.state is JobState.QUEUED
    assert "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" in status.waiting
    await backend.cancel(spec.id)


async def test_one_call_looks_at_many_jobs(cloud: Cloud) -> None:
    cloud.faults(jobs=[{"fault": "stuck"}])
    backend, specs = cloud.backend(), [cloud.spec("exit 0") for _ in range(20)]
    async with anyio.create_task_group() as group:
        for spec in specs:
            group.start_soon(backend.submit, spec)
    for spec in specs:
        await backend.status(spec.id)
    assert cloud.calls("batch", "DescribeJobs") <= 3
    await backend.cancel_many([spec.id for spec in specs])


@pytest.mark.slow
async def test_throttled_calls_are_waited_out(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("sleep 1; exit 0")
    await backend.submit(spec)
    await backend.status(spec.id)
    cloud.faults(api=[{"kind": "throttle", "service": "batch", "times": 7}])
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


async def test_what_nobody_submitted_is_unknown(cloud: Cloud) -> None:
    backend = cloud.backend()
    for job in (JobId("jnothing"), JobId("../x"), JobId("")):
        calls: tuple[Callable[[], Any], ...] = (
            lambda job=job: backend.status(job),
            lambda job=job: backend.result(job),
            lambda job=job: backend.log(job, offset=0, limit=1),
            lambda job=job: backend.artifact(job, "note.txt", offset=0, limit=1),
            lambda job=job: backend.cancel(job),
        )
        for call in calls:
            with pytest.raises(UnknownJob):
                await call()


async def test_an_artifact_is_read_and_a_changed_one_is_not(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    await backend.submit(spec)
    await until(backend, spec.id, ended)
    piece = await backend.artifact(spec.id, "note.txt", offset=1, limit=2)
    assert piece == Bytes(data=b"ep", offset=1, size=4)
    with pytest.raises(UnknownArtifact):
        await backend.artifact(spec.id, "../spec.json", offset=0, limit=9)
    key = f"jobs/{spec.id}/artifacts/note.txt"
    cloud.client("s3").put_object(Bucket=cloud.aws.bucket, Key=key, Body=b"evil")
    with pytest.raises(JobCorrupt, match="digests differ"):
        await cloud.backend().artifact(spec.id, "note.txt", offset=0, limit=9)


async def test_a_result_of_another_job_is_told_as_damage(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    await backend.submit(spec)
    await until(backend, spec.id, ended)
    s3, key = cloud.client("s3"), f"jobs/{spec.id}/result.json"
    body = s3.get_object(Bucket=cloud.aws.bucket, Key=key)["Body"].read()
    changed = body.replace(spec.digest.encode(), b"f" * 64)
    s3.put_object(Bucket=cloud.aws.bucket, Key=key, Body=changed)
    with pytest.raises(JobCorrupt):
        await cloud.backend().result(spec.id)


async def test_the_probe_says_what_is_missing(cloud: Cloud) -> None:
    good = await cloud.backend().probe()
    assert (good.works, good.level, good.problem) == (True, IsolationLevel.CONTAINER, "")
    gone = await cloud.backend(job_definitions={"x86_64": "nowhere"}).probe()
    assert (gone.works, "nowhere" in gone.problem) == (False, True)
    stranger = await cloud.backend(account_id="999999999999").probe()
    assert "account 999999999999" in stranger.problem


async def test_a_job_that_wants_more_isolation_is_refused(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    with pytest.raises(IsolationUnavailable):
        await backend.submit(replace(spec, isolation=IsolationLevel.FULL))
    with pytest.raises(UnknownJob):
        await backend.status(spec.id)


async def test_a_disabled_queue_is_named_and_the_job_is_kept(cloud: Cloud) -> None:
    batch, queue = cloud.client("batch"), cloud.aws.queues[cloud.aws.queue]
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    await backend.probe()
    batch.update_job_queue(jobQueue=queue, state="DISABLED")
    try:
        with pytest.raises(CloudMisconfigured, match="DISABLED"):
            await backend.submit(spec)
        assert not (await cloud.backend().probe()).works
    finally:
        batch.update_job_queue(jobQueue=queue, state="ENABLED")
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


async def test_a_watch_hears_a_change_and_only_a_change(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("until-cancel")
    backend._objects.of(spec.id).write_spec(spec)
    async with backend.watch(spec.id) as watch:
        assert await watch.changed(timeout_s=0.05) is False
        await backend.submit(spec)
        assert await watch.changed(timeout_s=30) is True
    await backend.cancel(spec.id)
    await until(backend, spec.id, ended)


@pytest.mark.slow
async def test_changes_are_heard_from_the_queue_of_events(cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="mcp-cloud-agents-events")["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    backend, spec = cloud.backend(events_queue_url=url), cloud.spec("sleep 1; exit 0")
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED
    assert cloud.calls("sqs", "ReceiveMessage") >= 1
    with anyio.fail_after(20):
        while not cloud.calls("sqs", "DeleteMessageBatch"):  # noqa: ASYNC110  a thread makes the call
            await anyio.sleep(0.1)


async def test_expired_credentials_are_told_and_a_renewal_needs_no_restart(cloud: Cloud) -> None:
    backend, spec = cloud.backend(), cloud.spec("sleep 1; exit 0")
    await backend.submit(spec)
    expired = {"kind": "error", "service": "batch", "action": "DescribeJobs"}
    cloud.faults(api=[{**expired, "code": "ExpiredTokenException", "status": 403}])
    with pytest.raises(CloudCredentials) as caught:
        await until(backend, spec.id, ended)
    assert "aws sso login" in caught.value.hint
    cloud.faults()
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


async def test_an_endpoint_that_nobody_serves_is_told_by_the_probe(cloud: Cloud) -> None:
    probe = await cloud.backend(endpoint_url="http://127.0.0.1:9").probe()
    assert (probe.works, "does not answer" in probe.problem) == (False, True)
    assert "AWS_ENDPOINT_URL" in probe.remedy
