"""The SDK of AWS takes half a second to import: before the first call of AWS there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.wire import Repository, Wire, a_repository

SDK = ("boto3", "botocore")
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "0"},
}


@pytest.fixture
def configured(open_path: Path) -> Repository:
    """AWS is set up, at an address where nobody answers."""
    repository = a_repository(open_path)
    file = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
    file.parent.mkdir(parents=True)
    file.write_text(
        """\
[aws]
region = "us-east-1"
account_id = "123456789012"
bucket = "nobodys-bucket"
queues = { fargate = "nobodys-queue" }
job_definitions = { x86_64 = "nobodys-definition" }
endpoint_url = "http://127.0.0.1:9"
"""
    )
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    repository.env.update(keys, AWS_EC2_METADATA_DISABLED="true")
    return repository


def imported(repository: Repository, told: Path, *, era: str, looks_for_a_job: bool) -> set[str]:
    """Packages that a server has imported after its first answers."""
    with told.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "mcp_cloud_agents", "serve"],
            cwd=repository.path,
            env=repository.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        with process:
            wire = Wire(process, modern=era == "modern")
            first = ("server/discover", None) if wire.modern else ("initialize", HELLO)
            assert "result" in wire.answer(wire.send(*first))
            assert wire.answer(wire.send("tools/list"))["result"]["tools"]
            if looks_for_a_job:
                wire.call("get_job", {"job_id": "j0000000000000000000000"})
            wire.say_goodbye()
    lines = (line for line in told.read_text().splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_no_sdk_is_imported_for_a_hello_and_the_list_of_tools(
    configured: Repository, tmp_path: Path, era: str
) -> None:
    found = imported(configured, tmp_path / "imports", era=era, looks_for_a_job=False)
    assert "mcp_cloud_agents" in found
    assert found.isdisjoint(SDK), "import it where it is first used: backends/aws_batch/clients.py"


@pytest.mark.slow
def test_the_sdk_is_imported_with_the_first_look_at_aws(
    configured: Repository, tmp_path: Path
) -> None:
    pytest.importorskip("boto3")
    found = imported(configured, tmp_path / "imports", era="modern", looks_for_a_job=True)
    assert set(SDK) <= found
