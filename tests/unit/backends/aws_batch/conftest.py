"""An AWS on loopback for the tests of this folder, one for all of a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.job import JobId, JobSpec, Kind, Snapshot
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.settings import AwsQueue, AwsSettings
from tests.unit.conftest import SPEC

ROOT = Path(__file__).resolve().parents[4]
WORKER = Path(__file__).with_name("small_worker.py")
_numbers = count(1)


class NoShipping:
    """Packs are not what these tests are about."""

    def ship(self, snapshot: Snapshot) -> int:
        del snapshot
        return 0

    def repository_key(self, snapshot: Snapshot) -> str:
        del snapshot
        return "f" * 32


@dataclass(frozen=True, slots=True)
class Cloud:
    """An emulated account with what the Terraform module makes."""

    emulator: Any
    aws: AwsSettings

    def backend(self, **changes: Any) -> Any:
        """A fresh backend, as another process would have it."""
        from mcp_cloud_agents.backends.aws_batch.factory import backend_of

        return backend_of(replace(self.aws, **changes), NoShipping())

    def client(self, service: str) -> Any:
        from mcp_cloud_agents.emulator.clients import aws_client

        return aws_client(service, self.emulator.endpoint, self.aws.region)

    def calls(self, service: str, action: str) -> int:
        return len(self.emulator.calls.seen(service, action))

    def faults(self, **given: Any) -> None:
        self.emulator.control.set_faults(given)

    def spec(self, command: str, **changes: Any) -> JobSpec:
        import time

        made = replace(
            SPEC,
            id=JobId(f"j{os.getpid():08}{next(_numbers):06}"),
            kind=Kind.COMMAND,
            command=command,
            runner=None,
            isolation=IsolationLevel.CONTAINER,
            created_at=time.time(),
        )
        return replace(made, **changes)


@pytest.fixture(scope="module")
def account() -> Iterator[Cloud]:
    pytest.importorskip("moto", reason="needs the extra `emulator`")
    pytest.importorskip("boto3", reason="needs boto3")
    from mcp_cloud_agents.emulator.bootstrap import bootstrap
    from mcp_cloud_agents.emulator.emulator import serve
    from mcp_cloud_agents.emulator.options import Options

    images = {"*": (sys.executable, str(WORKER))}
    options = Options(images=images, pull_s=0.05, log_flush_s=0.05, stop_grace_s=2.0)
    with serve(options) as emulator:
        made = {key: one["value"] for key, one in bootstrap(emulator.endpoint, "us-east-1").items()}
        aws = AwsSettings(
            region=made["region"],
            account_id=made["account_id"],
            bucket=made["bucket"],
            queues={AwsQueue(key): arn for key, arn in made["queues"].items()},
            job_definitions=made["job_definitions"],
            log_group=made["log_group"],
            events_queue_url="",
            endpoint_url=emulator.endpoint,
        )
        yield Cloud(emulator, aws)


@pytest.fixture
def cloud(account: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in account.emulator.environment.items():
        monkeypatch.setenv(name, value)
    account.faults()
    account.emulator.calls.clear()
    yield account
    account.faults()
