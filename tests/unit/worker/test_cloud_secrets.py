"""Secrets in a container: by the job's role or its environment, in the phase that they are for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import CauseKind, JobResult
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.emulator.clients import aws_client
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.job_objects import JobObjects
from tests.cloud_worker import Cloud, a_cloud, result_of, whole_log
from tests.leaks import SPILL, shown

pytestmark = pytest.mark.timeout(120)
STORED, GIVEN, SET_UP = "stored-canary/1+2=3", "given-canary-7c41", "setup-canary-0b2e"
NAMES = "STORED GIVEN SET_UP OTHER"


def grant(name: str, source: str, *phases: Phase) -> SecretGrant:
    return SecretGrant(name=name, source=source, phases=phases or (Phase.RUN,))


GRANTS = (
    grant("STORED", "aws-sm:team/db#password"),
    grant("GIVEN", "env:GIVEN_HERE"),
    grant("SET_UP", "aws-ssm:/team/token", Phase.SETUP),
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    probe = Bubblewrap().probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    folder = tmp_path_factory.mktemp("cloud")
    for one in (folder, *folder.parents[:2]):
        one.chmod(0o711)  # as root, jobs run under another uid
    with a_cloud(folder) as found:
        aws(found, "secretsmanager").create_secret(
            Name="team/db", SecretString=f'{{"password": "{STORED}"}}'
        )
        aws(found, "ssm").put_parameter(Name="/team/token", Value=SET_UP, Type="SecureString")
        yield found


def aws(cloud: Cloud, service: str) -> Any:
    return aws_client(service, cloud.endpoint, "us-east-1")


def a_job(cloud: Cloud, *grants: SecretGrant) -> JobObjects:
    command = f"python3 spill.py {NAMES}; env; cat /proc/*/environ | tr '\\0' '\\n'"
    return cloud.job({"spill.py": SPILL}, command, secrets=grants)


def failed(cloud: Cloud, *grants: SecretGrant) -> JobResult:
    job = a_job(cloud, *grants)
    code, _, said = cloud.run(job)
    assert code == 0, said
    result = result_of(job)
    assert result.state is JobState.FAILED
    assert result.cause is not None
    assert result.cause.kind is CauseKind.SECRET_UNUSABLE
    return result


def test_a_run_gets_its_secrets_and_no_object_or_line_shows_them(cloud: Cloud) -> None:
    job = a_job(cloud, *GRANTS)
    code, lines, said = cloud.run(job, GIVEN_HERE=GIVEN)
    assert code == 0, said
    assert result_of(job).state is JobState.SUCCEEDED
    log = whole_log(job)
    for told in ("STORED is there", "GIVEN is there", "SET_UP is missing", "OTHER is missing"):
        assert told in log
    assert "GIVEN_HERE" not in log
    kept = {one.key: cloud.store.get(one.key, limit=1 << 24) for one in cloud.store.list("")}
    assert any(key.startswith(f"jobs/{job.id}/log") for key in kept)
    everything = [*kept.values(), "\n".join(lines).encode(), said.encode()]
    for value in (STORED, GIVEN, SET_UP):
        assert [shown(data or b"", value) for data in everything if shown(data or b"", value)] == []


@pytest.mark.slow
def test_a_value_rotated_between_two_jobs_is_the_new_one_in_the_second(cloud: Cloud) -> None:
    secrets = aws(cloud, "secretsmanager")
    secrets.create_secret(Name="rotated", SecretString="first-value-000")
    for value in ("first-value-000", "second-value-11"):
        secrets.put_secret_value(SecretId="rotated", SecretString=value)
        grants = (grant("R", "aws-sm:rotated"),)
        job = cloud.job({"a": "b"}, "printf %s $R | sha256sum", secrets=grants)
        assert cloud.run(job)[0] == 0
        assert hashlib.sha256(value.encode()).hexdigest() in whole_log(job)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("aws-sm:missing", r"SECRET (aws-sm:missing) cannot be used: AWS has no such value"),
        pytest.param(
            *("env:AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "one of AWS, the system or the worker"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_secret_that_cannot_be_had_ends_the_job_with_its_name(
    cloud: Cloud, source: str, why: str
) -> None:
    result = failed(cloud, grant("SECRET", source))
    assert result.cause is not None
    assert why in result.cause.message
    assert result.cause.hint
