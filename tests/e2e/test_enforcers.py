"""Three enforcers of what a job may cost, each alone against a runaway while the others are off.

1. the reservation: before anything starts        2. the worker: its watchdog, the models' meter
3. the place: the timeout of AWS Batch, which needs nothing of ours to be alive
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.account import Account, an_account
from tests.e2e.terminal import program
from tests.e2e.wire import Connect, Repository, Wire
from tests.fix_tasks.house import KEY, TASKS, toml_of
from tests.model_server.script import Script, Turn
from tests.model_server.server import model_server

pytestmark = pytest.mark.timeout(240)
NO_BUDGET = "[budget]\njob_usd = 1000000\nday_usd = 1000000\nmonth_usd = 1000000\n"
FOREVER = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
"""A worker that has no limits of its own and hears no signal."""
CAP_MICROS = 1_000_000


def configure(repository: Repository, text: str, account: Account | None = None) -> None:
    """The person's file, and what AWS's SDK needs in the environment."""
    file = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + (aws_table(account) if account is not None else ""))
    if account is not None:
        repository.env.update(account.environment)


def aws_table(account: Account) -> str:
    aws = account.aws
    keys = ("region", "account_id", "bucket", "log_group", "endpoint_url")
    lines = ["[aws]", *(f"{key} = {json.dumps(getattr(aws, key))}" for key in keys)]
    for name in ("queues", "job_definitions"):
        table: dict[str, str] = getattr(aws, name)
        lines += [f"[aws.{name}]", *(f"{key} = {json.dumps(table[key])}" for key in table)]
    return "\n".join([*lines, ""])


def in_aws(wire: Wire, command: str, **more: Any) -> dict[str, Any]:
    given = {"command": command, "backend": "aws_batch", "fresh": True, **more}
    return wire.call("run_in_sandbox", given)


def ended(wire: Wire, job: str) -> dict[str, Any]:
    answer = wire.call("wait_job", {"job_id": job, "timeout_s": 50})
    while not answer["done"]:
        answer = wire.call("wait_job", {"job_id": job, "timeout_s": 50})
    return answer


def kill(wire: Wire) -> None:
    """As when the laptop is shut for good."""
    os.killpg(wire.process.pid, signal.SIGKILL)
    wire.process.wait()


@pytest.fixture(scope="module")
def endless() -> Iterator[Account]:
    """Jobs that nobody but Batch ends, 360 times sooner than in AWS."""
    with an_account(FOREVER, timeout_speed=360.0, stop_grace_s=0.2) as account:
        yield account


@pytest.mark.slow
def test_the_reservation_alone_ends_an_endless_loop_of_submits(
    repository: Repository, connect: Connect
) -> None:
    with an_account(FOREVER) as account:  # its timeout is far away
        configure(repository, "[budget]\njob_usd = 1\nday_usd = 1\n", account)
        servers = [connect(), connect("legacy")]
        started = 0
        while (answer := in_aws(servers[started % 2], f"echo {started}"))["ok"]:
            started += 1
        assert answer["error"]["code"] == "over_budget"
        told = json.loads(program(repository, "costs", "--json").stdout)
        [day] = [one for one in told["limits"] if one["limit"] == "day"]
        cap, spent, held, left = (
            round(float(day[f"{name}_usd"]) * 1e6) for name in ("cap", "spent", "held", "left")
        )
        assert cap == CAP_MICROS == spent + held + left
        assert (spent, left >= 0, len(told["held"])) == (0, True, started)
        assert 1 < started <= CAP_MICROS * started // held
        assert all(not in_aws(wire, "echo again")["ok"] for wire in servers)


@pytest.mark.slow
def test_the_timeout_of_batch_alone_ends_a_worker_that_never_does(
    endless: Account, repository: Repository, connect: Connect
) -> None:
    configure(repository, NO_BUDGET, endless)
    wire = connect()
    job = in_aws(wire, "true", timeout_minutes=1)["job_id"]
    kill(wire)
    answer = ended(connect(), job)
    assert (answer["state"], answer["error"]["code"]) == ("timed_out", "timeout")
    assert answer["error"]["message"].startswith("AWS Batch ended the job")


@pytest.mark.slow
def test_the_watchdog_of_the_worker_alone_ends_a_command_that_never_does(
    repository: Repository, connect: Connect
) -> None:
    with an_account() as account:
        configure(repository, NO_BUDGET, account)
        wire = connect()
        answer = in_aws(wire, "trap '' TERM; while :; do sleep 1; done", timeout_minutes=0.05)
        kill(wire)
        answer = ended(connect(), answer["job_id"])
        assert answer["state"] == "timed_out"
        assert "AWS Batch ended" not in answer["error"]["message"]
        told = json.loads(program(repository, "costs", "--json").stdout)
        assert told["held"] == []
        assert 0 < float(told["total_usd"]) < 0.05  # about two minutes were billed, not the worst


@pytest.mark.slow
def test_the_meter_of_the_gateway_alone_ends_a_model_that_never_does(
    repository: Repository, connect: Connect
) -> None:
    task = TASKS["25_budget_usd"]
    for name, text in task.files.items():
        repository.write(name, text)
    far = {"max_requests": 1_000, "max_tokens": 100_000_000, "max_tool_calls": 10_000}
    with model_server() as models:
        models.add("main", Script(turns=tuple(searching(number) for number in range(900))))
        policy = {**task.policy(f"{models.url}/"), **far, "candidate_minutes": 60, "max_usd": 0.15}
        configure(repository, NO_BUDGET + toml_of(policy))
        wire = connect(FIX_TASK_KEY=KEY)
        given = {"goal": task.goal, "test_command": "python3 -m unittest -q test_deep"}
        job = wire.call("fix_in_sandbox", {**given, "backend": "local", "timeout_minutes": 60})
        assert job["ok"], job
        kill(wire)
        answer = ended(connect(), job["job_id"])
        asked = len(models.seen("main"))
    assert answer["ok"], answer
    [candidate] = answer["fix"]["candidates"]
    assert candidate["stopped"] == "usd"
    assert asked * 0.04 <= 0.15  # 30,000 tokens in and 2,000 out of it


def searching(number: int) -> Turn:
    """Never the same again, so that nobody takes it for a loop."""
    return Turn(usage=(30_000, 2_000), calls=(("grep", {"pattern": f"word{number}"}),))
