"""Known secrets in an emulated account: in no object, no log line and no description of a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from tests.account import Account, an_account
from tests.contracts.places import Cloud, ended, until
from tests.e2e.wire import Repository, a_repository
from tests.leaks import SPILL, shown

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(240)]
STORED, PARAMETER = 'stored "canary" & 5ä9=e1', "parameter-canary/1+2"
GRANTS = (
    SecretGrant(name="STORED", source="aws-sm:team/db#password", phases=(Phase.RUN,)),
    SecretGrant(name="PARAMETER", source="aws-ssm:/team/token", phases=(Phase.SETUP, Phase.RUN)),
)
QUICK: dict[str, Any] = {"pull_s": 0.05, "log_flush_s": 0.05, "stop_grace_s": 20.0}


@dataclass
class Bench:
    account: Account
    repository: Repository
    place: Cloud


@pytest.fixture
def bench(open_path: Path) -> Iterator[Bench]:
    repository = a_repository(open_path)
    repository.write("spill.py", SPILL)
    repository.write(
        ".cloud-agents/config.toml",
        '[setup]\ncommands = ["python3 spill.py STORED PARAMETER; echo kept >/env/kept"]\n',
    )
    with an_account(**QUICK) as account:
        value = json.dumps({"user": "postgres", "password": STORED})
        account.client("secretsmanager").create_secret(Name="team/db", SecretString=value)
        account.client("ssm").put_parameter(
            Name="/team/token", Value=PARAMETER, Type="SecureString"
        )
        yield Bench(account, repository, Cloud(repository.env, str(repository.path), account))


def kept_by(account: Account) -> dict[str, bytes]:
    """All that the account keeps of jobs, but for the secrets themselves."""
    s3, bucket = account.client("s3"), account.aws.bucket
    found = {
        one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for one in s3.list_objects_v2(Bucket=bucket)["Contents"]
    }
    logs, batch = account.client("logs"), account.client("batch")
    events = logs.filter_log_events(logGroupName=account.aws.log_group, limit=10_000)["events"]
    found["log"] = "\n".join(one["message"] for one in events).encode()
    queue = account.aws.queues[account.aws.queue]
    listed = batch.list_jobs(jobQueue=queue, jobStatus="SUCCEEDED")["jobSummaryList"]
    described = batch.describe_jobs(jobs=[one["jobId"] for one in listed])["jobs"]
    found["jobs"] = json.dumps(described, default=str).encode()
    return found


async def test_no_object_log_line_or_description_shows_a_secret(bench: Bench) -> None:
    command = "python3 spill.py STORED PARAMETER; env >seen; cp seen seen.bin"
    spec = replace(bench.place.spec(command), secrets=GRANTS)
    backend = bench.place.backend()
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED
    result = await backend.result(spec.id)
    assert result is not None
    assert result.patch is None
    assert any("carry a secret of this job, in seen, seen.bin" in one for one in result.notes)
    log = (await backend.log(spec.id, offset=0, limit=1 << 22)).data.decode()
    assert log.count("PARAMETER is there") == 2
    assert log.count("STORED is missing") == 1
    kept = kept_by(bench.account)
    assert {"log", "jobs", f"jobs/{spec.id}/result.json"} <= set(kept)
    assert b"PARAMETER is there" in kept["log"]
    assert b"JOB_SPEC" in kept["jobs"]
    for value in (STORED, PARAMETER):
        assert {name: shown(data, value) for name, data in kept.items() if shown(data, value)} == {}
