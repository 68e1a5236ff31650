"""A model's key goes from the person's environment to the candidate, and is nowhere else."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.domain.fix import Engine, ModelRoute
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.settings import load
from tests.contracts.places import until
from tests.e2e.fix_jobs import Bench, fill
from tests.e2e.wire import a_repository
from tests.gateway_client import route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server
from tests.searching import files_holding

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
CANARY = "sk-canary-5b8d20e7"
VARIABLE = "MCA_TEST_MODEL_KEY"


@pytest.fixture
def models() -> Iterator[ModelServer]:
    slow = Turn(calls=(("submit", {"summary": "no"}),), delay=60)
    with model_server({"slow": Script(turns=(slow,))}) as server:
        yield server


@dataclass
class Keyed(Bench):
    """Jobs of the built-in engine."""

    def keyed(self, route: ModelRoute) -> JobSpec:
        plain = self.spec("true")
        assert plain.fix is not None
        order = replace(plain.fix, engine=Engine.MODEL, models=(route,), edit_command="")
        budget = replace(order.budget, usd_micros=1_000_000, wall_s=60)
        return replace(plain, fix=replace(order, budget=budget))


@pytest.fixture
def bench(open_path: Path) -> Keyed:
    repository = a_repository(open_path)
    fill(repository)
    return Keyed(repository)


@contextmanager
def with_spare(bench: Keyed) -> Generator[LocalBackend]:
    settings = load(bench.repository.env, cwd=str(bench.repository.path))
    backend = runner_for(settings, keep_spare=True)._places.first.backend
    assert isinstance(backend, LocalBackend)
    yield backend
    spare = backend._spare
    assert spare is not None
    assert spare._door is not None, "the spare did not take the job"
    spare._dismiss(spare._door)


def shown_by_processes() -> list[str]:
    """Processes whose command line or environment shows the key to whoever may look."""
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            if folder.name.isdigit():
                try:
                    data = (folder / name).read_bytes()
                except OSError:
                    continue
                if CANARY.encode() in data:
                    found.append(f"{folder}/{name}")
    return found


@pytest.mark.parametrize("spare", [False, True], ids=["started alone", "forked from the spare"])
async def test_the_key_of_the_environment_arrives_and_is_shown_nowhere(
    bench: Keyed, models: ModelServer, monkeypatch: pytest.MonkeyPatch, *, spare: bool
) -> None:
    monkeypatch.setenv(VARIABLE, CANARY)  # set after the start: not in /proc/PID/environ
    state = Path(bench.repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])
    route = route_to(f"{models.url}/slow", key=f"env:{VARIABLE}")
    spec = bench.keyed(route)
    with with_spare(bench) if spare else nullcontext(bench.backend) as backend:
        await backend.submit(spec)
    await until(backend, spec.id, lambda _: bool(models.requests))  # the candidate has the key
    assert models.requests[0].key == CANARY
    assert shown_by_processes() == []
    assert files_holding(state, CANARY) == []
    await backend.cancel(spec.id)
    models.ended.set()
    done = await bench.done(spec)
    assert done.status.state is JobState.CANCELLED
    assert files_holding(state, CANARY) == []
    assert CANARY not in done.log


@pytest.mark.slow
async def test_a_key_file_arrives_as_well(bench: Keyed, models: ModelServer) -> None:
    models.ended.set()
    path = bench.repository.path.parent / "key"
    path.write_text(f"{CANARY}\n")
    path.chmod(0o600)
    spec = bench.keyed(route_to(f"{models.url}/slow", key=f"file:{path}"))
    await bench.run(spec)
    assert {request.key for request in models.requests} == {CANARY}


async def test_a_job_without_its_key_says_which_variable_is_missing_and_where_to_set_it(
    bench: Keyed, models: ModelServer
) -> None:
    assert VARIABLE not in os.environ  # noqa: TID251  what a submit reads
    done = await bench.run(bench.keyed(route_to(f"{models.url}/slow", key=f"env:{VARIABLE}")))
    assert done.status.state is JobState.FAILED
    assert done.result is not None
    assert done.result.cause is not None
    assert done.result.cause.kind is CauseKind.MODEL_UNUSABLE
    assert VARIABLE in done.result.cause.message
    assert "env_vars" in done.result.cause.hint
    assert models.requests == []
