"""Fix jobs whose engine is a command-line agent, from the order to the report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.sandbox import JOB_UID, Bind
from mcp_cloud_agents.domain.setup import Toolchain
from mcp_cloud_agents.environments.agent_programs import agent_program
from mcp_cloud_agents.environments.toolchains import Search
from tests.e2e.fix_jobs import FIX, Bench, fill
from tests.e2e.wire import a_repository
from tests.gateway_client import KEY, route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
VARIABLE = "MCA_TEST_AGENT_KEY"
PATHS = {Engine.CLAUDE_CODE: "/v1/messages", Engine.CODEX: "/v1/responses"}
NAMES = {Engine.CLAUDE_CODE: "claude", Engine.CODEX: "codex"}
STAND_IN = Path(__file__).parents[1] / "stand_in_agent.py"


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def bench(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv(VARIABLE, KEY)
    repository = a_repository(open_path)
    fill(repository)
    return Bench(repository)


def stand_in(engine: Engine, folder: Path) -> Toolchain:
    program = folder / NAMES[engine]
    shutil.copyfile(STAND_IN, program)
    program.chmod(0o755)
    inside = f"/tools/{NAMES[engine]}"
    bind = Bind(host=str(program), inside=f"{inside}/{NAMES[engine]}")
    return Toolchain(name=str(engine), version="", binds=(bind,), path=(inside,))


def a_job(bench: Bench, engine: Engine, url: str, program: Toolchain, **budget: int) -> JobSpec:
    plain = bench.spec("true")
    assert plain.fix is not None
    route = route_to(url, PATHS[engine], key=f"env:{VARIABLE}")
    budgeted = replace(plain.fix.budget, usd_micros=1_000_000, **budget)
    order = replace(
        plain.fix, engine=engine, models=(route,), edit_command="", attempts=1, budget=budgeted
    )
    setup = replace(plain.setup, toolchains=(*plain.setup.toolchains, program))
    return replace(plain, fix=order, setup=setup)


def a_script(tool: str, argument: str) -> Script:
    return Script(turns=(Turn(calls=((tool, {argument: FIX}),)), Turn(text="I am done.")))


@pytest.mark.parametrize(
    ("engine", "tool"), [(Engine.CLAUDE_CODE, "Bash"), (Engine.CODEX, "shell")]
)
async def test_an_agents_change_is_judged_like_any_other(
    bench: Bench, models: ModelServer, open_path: Path, engine: Engine, tool: str
) -> None:
    url = models.add("mend", a_script(tool, "command"))
    done = await bench.run(a_job(bench, engine, url, stand_in(engine, open_path)))
    assert done.status.state is JobState.SUCCEEDED, done.log
    assert done.told["outcome"] == "patch", done.told
    assert done.evidence["label"] == "verified"
    assert done.candidate["stopped"] == "submitted"
    assert done.candidate["spent"]["requests"] == 2
    assert (done.candidate["spent"]["input_tokens"], done.told["spent"]["output_tokens"]) == (
        2_000,
        200,
    )
    assert {request.key for request in models.requests} == {KEY}
    transcript = await done.artifact("transcript-1.jsonl")
    assert '"I am done."' in transcript
    assert KEY not in transcript


async def test_words_of_an_agent_that_changed_nothing_count_for_nothing(
    bench: Bench, models: ModelServer, open_path: Path
) -> None:
    url = models.add("lie", Script(turns=(Turn(text="Fixed and verified, all tests pass."),)))
    job = a_job(bench, Engine.CLAUDE_CODE, url, stand_in(Engine.CLAUDE_CODE, open_path))
    done = await bench.run(job)
    assert (done.told["outcome"], done.told["chosen"]) == ("no_patch", None)


async def test_a_budget_stops_an_agent_and_its_change_so_far_is_kept(
    bench: Bench, models: ModelServer, open_path: Path
) -> None:
    url = models.add("mend", a_script("Bash", "command"))
    program = stand_in(Engine.CLAUDE_CODE, open_path)
    done = await bench.run(a_job(bench, Engine.CLAUDE_CODE, url, program, requests=1))
    assert done.candidate["stopped"] == "requests"
    assert "number * 2" in await done.artifact("candidate-1.diff")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "tool", "argument"),
    [(Engine.CLAUDE_CODE, "Bash", "command"), (Engine.CODEX, "exec_command", "cmd")],
)
async def test_the_real_agent_does_a_whole_job(
    bench: Bench, models: ModelServer, engine: Engine, tool: str, argument: str
) -> None:
    """Runs where the program is installed."""
    uid = JOB_UID if os.geteuid() == 0 else None
    path = os.environ.get("PATH", "")  # noqa: TID251  the machine's
    try:
        program = agent_program(engine, Search(search_path=path, home="/", job_uid=uid))
    except ModelUnusable as exc:
        pytest.skip(exc.message)
    url = models.add("mend", a_script(tool, argument))
    done = await bench.run(a_job(bench, engine, url, program))
    assert done.told["outcome"] == "patch", (done.told, done.log)
    assert done.evidence["label"] == "verified"
    assert done.candidate["message"] == "I am done."
