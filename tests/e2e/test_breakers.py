"""A place that keeps failing is left alone by every process, and `doctor` says so."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.backends.aws_batch.factory import aws_backend
from mcp_cloud_agents.domain.circuit import BreakerPolicy, Circuit
from mcp_cloud_agents.domain.errors import BackendUnavailable
from mcp_cloud_agents.domain.fix import Engine, ModelRoute, Provider
from mcp_cloud_agents.resilience.breaker import Breaker, BreakerBackend
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.storage.circuit_file import CircuitFile, circuit_path
from mcp_cloud_agents.storage.state_folder import StateFolder
from mcp_cloud_agents.worker.fix.model_breakers import MODEL_POLICY, ModelBreakers
from tests.e2e.fix_jobs import Bench, fill
from tests.e2e.terminal import program
from tests.e2e.wire import Repository, a_repository

pytestmark = pytest.mark.timeout(120)
NAME = "place aws_batch"
AWAY = """\
[aws]
region = "us-east-1"
account_id = "123456789012"
bucket = "nobodys-bucket"
log_group = "/mcp-cloud-agents/jobs"
image = "worker:1"
endpoint_url = "http://127.0.0.1:{port}"
[aws.queues]
fargate = "mcp-cloud-agents-fargate"
[aws.job_definitions]
x86_64 = "mcp-cloud-agents-x86_64"
"""


@pytest.fixture
def away(repository: Repository) -> Iterator[Repository]:
    """AWS is set up, at a port of loopback where nobody listens."""
    pytest.importorskip("boto3")
    file = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
    file.parent.mkdir(parents=True)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        file.write_text(AWAY.format(port=held.getsockname()[1]))
        yield repository


def a_place(repository: Repository) -> BreakerBackend:
    """As each process has one of its own; one failure is enough here, as each takes seconds."""
    settings = load(repository.env, cwd=str(repository.path))
    assert settings.aws is not None
    snapshots = GitSnapshots(settings.state_dir, ScreenRules())
    store = CircuitFile(StateFolder(settings.state_dir).breakers, NAME)
    breaker = Breaker(BreakerPolicy(failures=1), time.time, store)
    return BreakerBackend(aws_backend(settings.aws, snapshots.stores), breaker)


def test_a_place_out_of_reach_is_left_alone_by_all_and_doctor_says_until_when(
    away: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert not anyio.run(a_place(away).probe).works
    with pytest.raises(BackendUnavailable, match=r"is tried again at 20\d\d-.* UTC") as left:
        anyio.run(a_place(away).probe)
    assert a_place(away).circuit is Circuit.OPEN
    Path(away.env["HOME"], ".config/mcp-cloud-agents/config.toml").unlink()  # asks AWS, takes long
    done = program(away, "doctor", COLUMNS="1000")
    (row,) = [line for line in done.stdout.splitlines() if "breaker" in line and NAME in line]
    until = left.value.message.partition("tried again at ")[2].partition(";")[0]
    assert row.startswith("FAIL")
    assert f"{NAME}: open since 20" in row
    assert f"left alone until {until}; 1 failure in a row, the last: " in row
    folder = StateFolder(away.env["MCP_CLOUD_AGENTS_STATE_DIR"]).breakers
    assert circuit_path(folder, NAME) in done.stdout.replace("\n", "")


def test_a_breaker_whose_pause_is_over_is_told_and_no_failure(repository: Repository) -> None:
    folder = StateFolder(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"]).breakers
    past = time.time() - 600
    breaker = Breaker(BreakerPolicy(), lambda: past, CircuitFile(folder, "model x y"))
    breaker.failed("HTTP 503", weight=3)
    Breaker(BreakerPolicy(), time.time, CircuitFile(folder, "model x z")).failed("HTTP 500")
    done = program(repository, "doctor", COLUMNS="1000")
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(("ok    br", "ok   br"))]
    assert "model x y: half open since 20" in row
    assert "the next call tries it; 3 failures in a row, the last: HTTP 503" in row


@pytest.mark.anyio
async def test_a_fix_tells_in_its_notes_of_a_model_that_was_left_alone(open_path: Path) -> None:
    pytest.importorskip("pydantic_ai_harness")
    repository = a_repository(open_path)
    fill(repository)
    bench = Bench(repository)
    model = ModelRoute(
        provider=Provider.OPENAI_CHAT,
        model="mine",
        base_url="http://127.0.0.1:1/v1",
        input_usd_per_mtok=1.0,
        output_usd_per_mtok=1.0,
    )
    folder = StateFolder(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"]).breakers
    ModelBreakers(folder).of(model).failed("HTTP 529", weight=MODEL_POLICY.failures)
    changes: dict[str, Any] = {"engine": Engine.MODEL, "edit_command": "", "written_tests": False}
    done = await bench.run(bench.spec("true", models=(model,), **changes))
    (candidate,) = done.told["candidates"]
    assert candidate["stopped"] == "model_failed"
    assert "The model failed: mine: it was left alone: " in candidate["message"]
    assert done.result is not None
    (note,) = [note for note in done.result.notes if "left alone" in note]
    assert note.startswith("The model mine was left alone: it is tried again at 20")
    assert note.endswith("; it failed by: HTTP 529.")
