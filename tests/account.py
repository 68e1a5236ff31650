"""An emulated AWS account in a process of its own, with what the Terraform module makes."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from mcp_cloud_agents.settings import AwsQueue, AwsSettings

_PROGRAM = """
import json, sys
from mcp_cloud_agents.emulator.bootstrap import bootstrap
from mcp_cloud_agents.emulator.emulator import serve
from mcp_cloud_agents.emulator.options import Options
given = json.loads(sys.argv[1])
if given.get("images"):
    given["images"] = {"*": tuple(given["images"])}
with serve(Options(**given)) as emulator:
    outputs = bootstrap(emulator.endpoint, "us-east-1", max_vcpus=128)
    print(json.dumps({**emulator.described(), "outputs": outputs}), flush=True)
    sys.stdin.read()
"""
_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Account:
    """Where it is, and its control API."""

    endpoint: str
    environment: Mapping[str, str]
    aws: AwsSettings

    def client(self, service: str) -> Any:
        from mcp_cloud_agents.emulator.clients import aws_client

        return aws_client(service, self.endpoint, self.aws.region)

    def faults(self, **given: Any) -> None:
        """Other rules than before; none without arguments."""
        self._ask("POST", "faults", given)

    def counts(self) -> dict[str, int]:
        """Calls, by `service:action`."""
        return self._ask("GET", "calls")["counts"]

    def _ask(self, method: str, path: str, given: object = None) -> Any:
        data = None if given is None else json.dumps(given).encode()
        url = f"{self.endpoint}/emulator/{path}"
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310  loopback
        with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:  # noqa: S310  same
            return json.load(answer)


@contextmanager
def an_account(worker: Sequence[str] = (), **options: Any) -> Generator[Account]:
    """Start one; its credentials are in the environment meanwhile.

    Args:
        worker: what runs for every image; the real worker when it is empty.
        options: others of the emulator.
    """
    pytest.importorskip("moto", reason="needs the extra `emulator`")
    given = {"images": list(worker), **options} if worker else options
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(given)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            with pytest.MonkeyPatch.context() as patch:
                for name, value in told["environment"].items():
                    patch.setenv(name, value)
                yield Account(told["endpoint"], told["environment"], _settings(told))
        finally:
            process.stdin.close()
            process.wait(_WITHIN_S)


def _settings(told: Mapping[str, Any]) -> AwsSettings:
    made = {name: one["value"] for name, one in told["outputs"].items()}
    return AwsSettings(
        region=made["region"],
        account_id=made["account_id"],
        bucket=made["bucket"],
        queues={AwsQueue(name): arn for name, arn in made["queues"].items()},
        job_definitions=made["job_definitions"],
        log_group=made["log_group"],
        events_queue_url="",
        endpoint_url=told["endpoint"],
    )
