"""`python -m mcp_cloud_agents.emulator`: one line, loopback only, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.emulator.clients import aws_client
from tests.tiers import tiers

OUTPUTS = {
    *("region", "account_id", "bucket", "queues", "job_definitions", "log_group"),
    *("events_queue_url", "image", "job_role_arn", "execution_role_arn"),
    *("submitter_policy_arn", "profile", "ephemeral_storage_gib"),
}


@contextlib.contextmanager
def program(*arguments: str) -> Generator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_cloud_agents.emulator", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def a_sleeper(told: dict[str, Any], path: Path) -> tuple[list[int], Path]:
    """A running job with a child that left its session: their pids, and the job's home."""
    os.mkfifo(path)
    batch = aws_client("batch", told["endpoint"], told["region"])
    script = f'setsid sleep 600 & echo "$$ $! $HOME" > {path}; exec sleep 600'
    batch.submit_job(
        jobName="sleeper",
        jobQueue=told["outputs"]["queues"]["value"]["fargate"],
        jobDefinition=told["outputs"]["job_definitions"]["value"]["x86_64"],
        containerOverrides={"command": ["sh", "-c", script]},
    )
    *pids, home = path.read_text().split()
    return [int(pid) for pid in pids], Path(home)


def wait_for_end(pids: list[int]) -> None:
    """Until none runs; pidfds say so."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                assert _readable(descriptor), f"{pid} still runs"
            finally:
                os.close(descriptor)


def _children(pid: int) -> list[int]:
    told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for child in " ".join(told).split()]


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 20)[0])


@pytest.mark.parametrize("number", tiers([signal.SIGKILL], signal.SIGTERM, signal.SIGINT))
def test_jobs_end_with_the_emulator_however_it_ends(number: int, tmp_path: Path) -> None:
    with program("--bootstrap") as (process, told):
        pids, home = a_sleeper(told, tmp_path / "pids")
        pids += _children(process.pid)  # the warden among them
        process.send_signal(number)
        process.wait(20)
        wait_for_end(pids)
    assert not home.parents[1].exists()


def test_the_end_of_standard_input_is_the_end_when_asked_for() -> None:
    with program("--until-eof") as (process, told):
        assert told["environment"]["AWS_ENDPOINT_URL"] == told["endpoint"]
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


def test_nothing_listens_but_on_loopback_and_outputs_are_those_of_terraform() -> None:
    with program("--bootstrap") as (process, told):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", told["endpoint"])
        sockets = {
            target.removeprefix("socket:[").rstrip("]")
            for target in _links(Path(f"/proc/{process.pid}/fd"))
            if target.startswith("socket:")
        }
        listening = [
            line.split()[1]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[9] in sockets and line.split()[3] == "0A"
        ]
        port = int(told["endpoint"].rpartition(":")[2])
        assert listening == [f"0100007F:{port:04X}"]
        assert told["outputs"].keys() == OUTPUTS
        assert all(one.keys() == {"value"} for one in told["outputs"].values())


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with program() as (_, told):
        port = told["endpoint"].rpartition(":")[2]
        done = subprocess.run(
            [sys.executable, "-m", "mcp_cloud_agents.emulator", "--port", port],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used." in done.stderr
    assert "Traceback" not in done.stderr


def _links(folder: Path) -> list[str]:
    found: list[str] = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(path))
    return found
