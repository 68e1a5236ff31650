"""Where a job runs, and what the answer says of it when AWS is set up but cannot be had."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.terminal import program
from tests.e2e.wire import Connect, Repository

pytestmark = pytest.mark.timeout(180)
COMMAND = "python3 -m unittest"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback that nobody listens at, and nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def configured(repository: Repository, closed_port: int) -> Repository:
    """AWS is set up in the person's file, at an address where nobody answers."""
    pytest.importorskip("boto3")
    file = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
    file.parent.mkdir(parents=True)
    file.write_text(
        f"""\
[aws]
region = "us-east-1"
account_id = "123456789012"
bucket = "nobodys-bucket"
log_group = "/mcp-cloud-agents/jobs"
image = "worker:1"
endpoint_url = "http://127.0.0.1:{closed_port}"
[aws.queues]
fargate = "mcp-cloud-agents-fargate"
[aws.job_definitions]
x86_64 = "mcp-cloud-agents-x86_64"
"""
    )
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    repository.env.update(keys, AWS_EC2_METADATA_DISABLED="true")
    return repository


def test_auto_runs_here_when_aws_cannot_be_reached_and_says_why(
    configured: Repository, connect: Connect
) -> None:
    assert configured.path.is_dir()
    wire = connect()
    answer = wire.call("run_tests_cloud", {"command": COMMAND})
    job = answer["job_id"]
    while not answer["done"]:
        answer = wire.call("wait_job", {"job_id": job, "timeout_s": 50})
    assert (answer["backend"], answer["verdict"]) == ("local", "passed")
    assert answer["notes"][0].startswith("aws_batch was passed over: ")
    again = wire.call("get_job", {"job_id": job})
    assert again["notes"][0] == answer["notes"][0]


def test_aws_that_was_asked_for_is_refused_rather_than_replaced(
    configured: Repository, connect: Connect
) -> None:
    assert configured.path.is_dir()
    answer = connect().call("run_tests_cloud", {"command": COMMAND, "backend": "aws_batch"})
    assert answer["ok"] is False
    problem: dict[str, Any] = answer["error"]
    assert "127.0.0.1" in json.dumps(problem)
    assert problem["hint"]


def test_a_place_that_is_not_set_up_is_named_with_those_that_are(
    repository: Repository, connect: Connect
) -> None:
    assert repository.path.is_dir()
    answer = connect().call("run_tests_cloud", {"backend": "aws_batch"})
    assert answer["error"]["code"] == "invalid_argument"
    assert "here it may be: auto, local" in answer["error"]["message"]
    assert "configure aws" in answer["error"]["hint"]


def test_local_jobs_need_no_aws(configured: Repository) -> None:
    done = program(configured, "submit", "tests", "--backend", "local", COMMAND)
    assert done.returncode == 0, done.stderr
    assert "passed over" not in done.stdout


def test_an_artifact_is_printed_byte_for_byte(repository: Repository) -> None:
    change = "printf 'a\\0b\\n' > new"
    done = program(repository, "submit", "command", "--json", change)
    job = json.loads(done.stdout)["job_id"]
    target = repository.path.parent / "change.diff"
    kept = program(repository, "artifact", job, "patch.diff", "--to", str(target))
    assert (kept.returncode, kept.stdout, kept.stderr) == (0, "", "")
    assert target.read_bytes().startswith(b"diff --git a/new b/new")
    shown = program(repository, "artifact", job, "patch.diff")
    assert shown.stdout.encode() == target.read_bytes()
    twice = program(repository, "artifact", job, "patch.diff", "--to", str(target))
    assert (twice.returncode, "File exists" in twice.stderr) == (2, True)
    missing = program(repository, "artifact", job, "nothing")
    assert (missing.returncode, "unknown_artifact" in missing.stderr) == (2, True)
