"""An account that is not as it should be: each is told clearly, and no job is lost by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio
import pytest

from mcp_cloud_agents.domain.errors import (
    AgentsError,
    CloudCredentials,
    CloudDenied,
    CloudMisconfigured,
    CloudUnreachable,
    JobCorrupt,
    StoreUnavailable,
)
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Backend
from mcp_cloud_agents.settings import AwsQueue
from tests.unit.backends.aws_batch.conftest import Cloud

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]
ENVIRONMENT = "mcp-cloud-agents-fargate"
DEPARTED = "departed"
ALL_BUT_SUBMIT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "NotAction": "batch:SubmitJob", "Resource": "*"}],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


async def until(backend: Backend, job_id: JobId, told: Callable[[JobStatus], bool]) -> JobStatus:
    with anyio.fail_after(60):
        async with backend.watch(job_id) as watch:
            while not told(status := await backend.status(job_id)):
                await watch.changed(timeout_s=2)
    return status


async def succeeded(backend: Backend, job_id: JobId) -> bool:
    status = await until(backend, job_id, lambda status: status.state.done)
    return status.state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("service", "action", "code", "status", "kind", "hint"),
    [
        ("batch", "DescribeJobs", "ExpiredTokenException", 403, CloudCredentials, "sso login"),
        ("batch", "DescribeJobs", "RequestTimeTooSkewed", 403, CloudCredentials, "clock"),
        ("batch", "DescribeJobs", "AccessDeniedException", 403, CloudDenied, "submitter policy"),
        ("batch", "DescribeJobs", "InternalError", 500, CloudUnreachable, "Call again"),
        ("s3", "GetObject", "ExpiredToken", 400, StoreUnavailable, "sso login"),
        ("s3", "GetObject", "RequestTimeTooSkewed", 403, StoreUnavailable, "clock"),
    ],
)
async def test_what_passes_while_a_job_runs_is_told_and_the_job_goes_on(
    cloud: Cloud,
    service: str,
    action: str,
    code: str,
    status: int,
    kind: type[AgentsError],
    hint: str,
) -> None:
    spec = cloud.spec("sleep 1; exit 0")
    await cloud.backend().submit(spec)
    rule = {"kind": "error", "service": service, "action": action}
    cloud.faults(api=[{**rule, "code": code, "status": status}])
    here = cloud.backend()
    with pytest.raises(kind) as caught:
        await succeeded(here, spec.id)
    assert hint in caught.value.hint
    cloud.faults()
    assert await succeeded(here, spec.id)


@contextmanager
def a_queue(cloud: Cloud) -> Generator[str]:
    """One more queue; the test deletes it."""
    batch = cloud.client("batch")
    order = [{"order": 1, "computeEnvironment": ENVIRONMENT}]
    made = batch.create_job_queue(
        jobQueueName=DEPARTED, state="ENABLED", priority=1, computeEnvironmentOrder=order
    )
    yield made["jobQueueArn"]


async def test_a_queue_deleted_before_a_submit_is_named_and_another_takes_the_job(
    cloud: Cloud,
) -> None:
    batch, spec = cloud.client("batch"), cloud.spec("exit 0")
    with a_queue(cloud) as arn:
        backend = cloud.backend(queues={AwsQueue.FARGATE: arn})
        assert (await backend.probe()).works
        batch.update_job_queue(jobQueue=DEPARTED, state="DISABLED")
        batch.delete_job_queue(jobQueue=DEPARTED)
    with pytest.raises(CloudMisconfigured, match=DEPARTED) as caught:
        await backend.submit(spec)
    assert "configure aws" in caught.value.hint
    mended = cloud.backend()
    await mended.submit(spec)
    assert await succeeded(mended, spec.id)


async def test_a_submit_without_permission_names_it_and_starts_once_it_is_given(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_cloud_agents.emulator import moto_seam

    iam, spec = cloud.client("iam"), cloud.spec("exit 0")
    arn = iam.create_user(UserName="dev")["User"]["Arn"]
    keys = iam.create_access_key(UserName="dev")["AccessKey"]
    policy = {"UserName": "dev", "PolicyName": "p"}
    iam.put_user_policy(**policy, PolicyDocument=json.dumps(ALL_BUT_SUBMIT))
    backend = cloud.backend()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    try:
        moto_seam.enforce_permissions(enforced=True)
        with pytest.raises(CloudDenied) as caught:
            await backend.submit(spec)
        moto_seam.enforce_permissions(enforced=False)
        iam.put_user_policy(**policy, PolicyDocument=json.dumps(ALL))
        moto_seam.enforce_permissions(enforced=True)
        await backend.submit(spec)
    finally:
        moto_seam.enforce_permissions(enforced=False)
    queue = cloud.aws.queues[AwsQueue.FARGATE]
    assert f"{arn} may not batch:SubmitJob on {queue}" in caught.value.message
    assert f"Allow batch:SubmitJob on {queue}" in caught.value.hint
    assert await succeeded(backend, spec.id)


async def test_a_job_in_front_of_a_disabled_environment_says_so_and_waits(cloud: Cloud) -> None:
    batch, backend, spec = cloud.client("batch"), cloud.backend(), cloud.spec("exit 0")
    assert (await backend.probe()).works
    batch.update_compute_environment(computeEnvironment=ENVIRONMENT, state="DISABLED")
    try:
        await backend.submit(spec)
        told = await until(backend, spec.id, lambda status: "DISABLED" in status.waiting)
        assert ENVIRONMENT in told.waiting
        assert told.state is JobState.QUEUED
    finally:
        batch.update_compute_environment(computeEnvironment=ENVIRONMENT, state="ENABLED")
    assert await succeeded(backend, spec.id)


@pytest.mark.parametrize("name", ["spec.json", "result.json"])
async def test_what_a_newer_version_wrote_says_upgrade_and_stays(cloud: Cloud, name: str) -> None:
    backend, spec = cloud.backend(), cloud.spec("exit 0")
    await backend.submit(spec)
    assert await succeeded(backend, spec.id)
    s3, key = cloud.client("s3"), f"jobs/{spec.id}/{name}"
    where = {"Bucket": cloud.aws.bucket, "Key": key}
    document = json.loads(s3.get_object(**where)["Body"].read()) | {"version": 99}
    s3.put_object(**where, Body=json.dumps(document).encode())
    with pytest.raises(JobCorrupt, match="newer version") as caught:
        await cloud.backend().result(spec.id)
    assert "Upgrade mcp-cloud-agents" in caught.value.hint
    assert json.loads(s3.get_object(**where)["Body"].read()) == document
