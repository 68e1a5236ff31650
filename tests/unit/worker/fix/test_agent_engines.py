"""Command-line agents in the sandbox, before a scripted model: what of them counts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import Budget, Engine, FixOrder, ModelRoute, Provider, StopReason
from mcp_cloud_agents.domain.sandbox import JOB_UID, Bind, Limits
from mcp_cloud_agents.environments.agent_programs import agent_program
from mcp_cloud_agents.environments.toolchains import Search
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.worker.fix.engine import Ended
from mcp_cloud_agents.worker.fix.engines.agent_program import Agent, AgentEngine
from mcp_cloud_agents.worker.fix.engines.claude_code import ClaudeCode
from mcp_cloud_agents.worker.fix.engines.codex import Codex
from tests.fix_bench import ToyBench, runs_in
from tests.gateway_client import KEY, route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server
from tests.sandbox_box import make_box

AGENTS: dict[Engine, tuple[Agent, str, str]] = {
    Engine.CLAUDE_CODE: (ClaudeCode(), "/v1/messages", "Bash"),
    Engine.CODEX: (Codex(), "/v1/responses", "shell"),
}
ENGINES = list(AGENTS)
MEND = "sed -i 's/a - b/a + b/' calc.py"
ROOMY = Limits(memory_mib=4_096, processes=512, disk_mib=512, tmp_mib=256)
STAND_IN = Path(__file__).parents[3] / "stand_in_agent.py"


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@dataclass(kw_only=True)
class Site:
    """A toy program in a sandbox that has an agent."""

    toy: ToyBench
    engine: Engine
    program: Bind
    path: tuple[str, ...]

    def run(self, *routes: ModelRoute, **changes: Any) -> Ended:
        agent, _, _ = AGENTS[self.engine]
        engine = AgentEngine(agent=agent, keys={"env:KEY": KEY}, meter=self.toy.meter)
        order = FixOrder(goal=self.toy.goal, engine=self.engine, models=routes)
        execute = runs_in(self.toy.box, binds=(self.program,), path=self.path, limits=ROOMY)
        return engine(self.toy.bench(order=order, run=execute, **changes))

    def written(self) -> str:
        return (self.toy.folder / "transcript.jsonl").read_text()


def a_site(engine: Engine, folder: Path, program: Bind, **budget: int) -> Site:
    sandbox = Bubblewrap()
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    toy = ToyBench(make_box(sandbox, folder), folder, budget=Budget(**budget), secrets=(KEY,))
    return Site(toy=toy, engine=engine, program=program, path=(os.path.dirname(program.inside),))


def with_stand_in(engine: Engine, folder: Path, **budget: int) -> Site:
    name = AGENTS[engine][0].name
    program = folder / name
    shutil.copyfile(STAND_IN, program)
    program.chmod(0o755)
    bind = Bind(host=str(program), inside=f"/tools/{name}/{name}")
    return a_site(engine, folder, bind, **budget)


def a_script(engine: Engine, *commands: str, words: str = "done") -> Script:
    tool = AGENTS[engine][2]
    turns = [Turn(calls=((tool, {"command": command}),)) for command in commands]
    return Script(turns=(*turns, Turn(text=words)))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_agent_mends_the_tree_through_the_gateway(
    models: ModelServer, open_path: Path, engine: Engine
) -> None:
    site = with_stand_in(engine, open_path)
    url = models.add("mend", a_script(engine, MEND, words=f"mended \x1b[31m{KEY}"))
    ended = site.run(route_to(url, AGENTS[engine][1]))
    assert ended.reason is StopReason.SUBMITTED
    assert "\x1b" not in ended.message
    assert "a + b" in site.toy.read("calc.py")
    assert {request.key for request in models.seen("mend")} == {KEY}
    spent = site.toy.meter.spent
    assert (spent.requests, spent.input_tokens, spent.output_tokens) == (2, 2_000, 200)
    kinds = [json.loads(line)["kind"] for line in site.written().splitlines()]
    assert kinds[0] == "prompt"
    assert kinds[-1] == "cost"
    assert KEY not in site.written()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_agent_whose_budget_is_out_ends_with_the_reason_and_keeps_its_work(
    models: ModelServer, open_path: Path, engine: Engine
) -> None:
    site = with_stand_in(engine, open_path, requests=1)
    url = models.add("mend", a_script(engine, MEND, "true", "true"))
    ended = site.run(route_to(url, AGENTS[engine][1]))
    assert ended.reason is StopReason.REQUESTS
    assert "a + b" in site.toy.read("calc.py")
    assert len(models.seen("mend")) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_that_fails_is_told_as_that(
    models: ModelServer, open_path: Path, engine: Engine
) -> None:
    site = with_stand_in(engine, open_path)
    url = models.add("dead", Script(turns=(Turn(status=500),)))
    ended = site.run(route_to(url, AGENTS[engine][1]))
    assert ended.reason is StopReason.MODEL_FAILED
    assert "status 500" in ended.message


@pytest.mark.parametrize("engine", ENGINES)
def test_an_agent_that_is_not_there_is_told_with_what_to_install(
    models: ModelServer, open_path: Path, engine: Engine
) -> None:
    site = with_stand_in(engine, open_path)
    site.path = ()
    ended = site.run(route_to(models.url, AGENTS[engine][1]))
    assert ended.reason is StopReason.COMMAND_FAILED
    assert "npm install" in ended.message


def test_an_agent_that_takes_too_long_is_ended(models: ModelServer, open_path: Path) -> None:
    site = with_stand_in(Engine.CLAUDE_CODE, open_path)
    url = models.add("slow", a_script(Engine.CLAUDE_CODE, "sleep 60"))
    ended = site.run(route_to(url), left_s=lambda: 2.0)
    assert ended.reason is StopReason.WALL_CLOCK


def test_an_engine_without_a_model_it_can_ask_is_refused(open_path: Path) -> None:
    site = with_stand_in(Engine.CODEX, open_path)
    with pytest.raises(ModelUnusable, match="provider openai alone"):
        site.run(ModelRoute(provider=Provider.BEDROCK, model="m"))


def test_the_token_of_the_job_is_in_no_transcript(models: ModelServer, open_path: Path) -> None:
    site = with_stand_in(Engine.CLAUDE_CODE, open_path)
    url = models.add("leak", a_script(Engine.CLAUDE_CODE, 'echo "$ANTHROPIC_API_KEY"'))
    site.run(route_to(url))
    said = models.seen("leak")[1].body["messages"][-1]["content"][0]["content"]
    token = said.strip()
    assert len(token) > 30  # the agent has it, and so have its commands
    assert token not in site.written()


def with_real_one(engine: Engine, folder: Path, **budget: int) -> Site:
    """Skips where the program is not installed."""
    uid = JOB_UID if os.geteuid() == 0 else None
    path = os.environ.get("PATH", "")  # noqa: TID251  the machine's
    try:
        found = agent_program(engine, Search(search_path=path, home="/", job_uid=uid))
    except ModelUnusable as exc:
        pytest.skip(exc.message)
    return a_site(engine, folder, found.binds[0], **budget)


def for_real_one(engine: Engine) -> Script:
    tool = {Engine.CLAUDE_CODE: "Bash", Engine.CODEX: "exec_command"}[engine]
    key = {Engine.CLAUDE_CODE: "command", Engine.CODEX: "cmd"}[engine]
    return Script(turns=(Turn(calls=((tool, {key: MEND}),)), Turn(text="mended")))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_real_agent_ends_at_once_when_the_budget_is_out(
    models: ModelServer, open_path: Path, engine: Engine
) -> None:
    site = with_real_one(engine, open_path, requests=1)
    url = models.add("mend", for_real_one(engine))
    ended = site.run(route_to(url, AGENTS[engine][1]), left_s=lambda: 60.0)
    assert ended.reason is StopReason.REQUESTS, (ended, site.written())
    assert "a + b" in site.toy.read("calc.py")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_real_agent_mends_the_tree(
    models: ModelServer, open_path: Path, engine: Engine
) -> None:
    site = with_real_one(engine, open_path)
    url = models.add("mend", for_real_one(engine))
    ended = site.run(route_to(url, AGENTS[engine][1]), left_s=lambda: 60.0)
    assert (ended.reason, ended.message) == (StopReason.SUBMITTED, "mended"), site.written()
    assert "a + b" in site.toy.read("calc.py")
    assert site.toy.meter.spent.requests == 2
    assert KEY not in site.written()
