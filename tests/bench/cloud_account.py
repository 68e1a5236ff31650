"""An emulated account for measurements, and a server set up for it as a person would."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.account import Account, an_account
from tests.bench.serving import scratch, serving
from tests.e2e.wire import Repository, Wire, a_repository

_KEY = "the-server"
"""The server's access key, by which the emulator's call log tells its calls from the workers'."""
_QUEUE_OF_EVENTS = "mcp-cloud-agents-events"


class Call(msgspec.Struct):
    """One line of the emulator's call log."""

    at: float
    service: str
    action: str
    access_key: str


class _Log(msgspec.Struct):
    calls: list[Call]


@dataclass(frozen=True, slots=True)
class Calls:
    """The server's own calls, as the emulator counted them."""

    all: Sequence[Call]

    def between(self, began_at: float, ended_at: float) -> Calls:
        """Those that came in between; seconds since the epoch."""
        return Calls([one for one in self.all if began_at <= one.at < ended_at])

    @property
    def counts(self) -> str:
        """`12 batch:DescribeJobs, …`, most frequent first."""
        counted = Counter(f"{one.service}:{one.action}" for one in self.all)
        return ", ".join(f"{count} {name}" for name, count in counted.most_common())


@dataclass(frozen=True, slots=True)
class Cloud:
    """A server on a wire, and the account behind it."""

    wire: Wire
    account: Account
    repository: Repository
    folder: Path

    def calls(self) -> Calls:
        """All calls of the server so far."""
        url = f"{self.account.endpoint}/emulator/calls"
        with urllib.request.urlopen(url) as answer:  # noqa: S310  loopback
            found = msgspec.json.decode(answer.read(), type=_Log)
        return Calls([one for one in found.calls if one.access_key == _KEY])


@contextlib.contextmanager
def cloud(worker: Sequence[str] = (), *, events: bool = True) -> Generator[Cloud]:
    """An emulator in a process of its own, and `mcp-cloud-agents serve` that uses it.

    Args:
        worker: what runs for every image; the real worker when it is empty.
        events: whether changes of jobs are told by a queue, as the module has it by default.
    """
    with scratch() as folder, an_account(worker) as account:
        made = a_repository(folder)
        made.env.update(account.environment, AWS_ACCESS_KEY_ID=_KEY)
        _configure(account, made.env, events=events)
        with serving(made.path, made.env) as wire:
            yield Cloud(wire, account, made, folder)


def _configure(account: Account, env: Mapping[str, str], *, events: bool) -> None:
    aws = account.aws
    outputs: dict[str, Any] = {
        "region": aws.region,
        "account_id": aws.account_id,
        "bucket": aws.bucket,
        "queues": aws.queues,
        "job_definitions": aws.job_definitions,
        "log_group": aws.log_group,
        "events_queue_url": None,
        "image": "worker:bench",
        "profile": "economy",
    }
    if events:
        queue = account.client("sqs").get_queue_url(QueueName=_QUEUE_OF_EVENTS)
        outputs["events_queue_url"] = queue["QueueUrl"]
    told = json.dumps({name: {"value": value} for name, value in outputs.items()})
    command = [sys.executable, "-m", "mcp_cloud_agents", "configure", "aws"]
    subprocess.run(
        [*command, "--from-terraform", "-"],
        env=dict(env),
        input=told,
        text=True,
        check=True,
        capture_output=True,
    )
