"""Known secrets are pushed through every way out of a job; none is found behind any of them.

The job's commands print them in every encoding, wrapped, coloured and a few bytes at a time, and
write them into tests' names and messages, files, and the tree. The same job without grants shows
that the search would find them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.pack import Packer
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.domain.job import JobSpec, JobState, Kind
from mcp_cloud_agents.domain.result import CauseKind, JobResult
from mcp_cloud_agents.domain.secret import Phase, SecretTable
from mcp_cloud_agents.governance.secret_grants import SecretRules
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.aws_secrets import AwsSecrets
from mcp_cloud_agents.storage.job_folder import WORKING
from mcp_cloud_agents.storage.secret_values import SecretValues
from tests.cloud_worker import eventually
from tests.contracts.places import begun, ended, until
from tests.e2e.terminal import program
from tests.e2e.wire import Repository, Wire, a_repository
from tests.leaks import SPILL, forms, leaks, shown

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
SETUP, RUN, BOTH = "setup-canary/7f+3a", 'run "canary" & 5ä9=e1', "both-canary-4411-zz"
VALUES = {"CANARY_SETUP": SETUP, "CANARY_RUN": RUN, "CANARY_BOTH": BOTH}
AGENT = "run_tests_cloud"
NAMES = " ".join(VALUES)
CONFIG = f"""\
[setup]
commands = ["python3 spill.py {NAMES}; echo kept >/env/kept"]
"""
TESTS = """\
import os
import unittest

import spill

RUN = os.environ.get("CANARY_RUN", "")


class T(unittest.TestCase):
    def test_all(self):
        for one in spill.everything(RUN):
            with self.subTest(one=one.decode()):
                self.fail("expected " + one.decode())

    def test_whole(self):
        self.assertEqual(RUN, "", RUN)


setattr(T, "test_" + RUN, lambda self: self.fail("named"))
"""
COMMAND = f"python3 spill.py {NAMES}; python3 -m unittest test_it"


def a_table(source: str, *phases: Phase, agents: tuple[str, ...] = (AGENT,)) -> SecretTable:
    return SecretTable(source=source, agents=agents, phases=phases, workspaces=("*",))


TABLES = {
    "CANARY_SETUP": a_table("env:MINE_SETUP", Phase.SETUP),
    "CANARY_RUN": a_table("env:MINE_RUN", Phase.RUN),
    "CANARY_BOTH": a_table("env:MINE_BOTH", Phase.SETUP, Phase.RUN),
}


@dataclass
class Bench:
    """A person's machine with secrets in its environment."""

    repository: Repository
    environ: dict[str, str]

    def __post_init__(self) -> None:
        place = runner_for(load(self.repository.env, cwd=str(self.repository.path)))._places.first
        local = place.backend
        assert isinstance(local, LocalBackend)
        self.packer: Packer = place.packer
        self.backend = LocalBackend(
            local._jobs, local._host, local._probe, secrets=SecretValues(self._some, AwsSecrets())
        )

    @property
    def state(self) -> Path:
        return Path(self.repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])

    def _some(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.environ[name] for name in names if name in self.environ}

    def spec(
        self,
        command: str,
        tables: dict[str, SecretTable],
        *,
        kind: Kind = Kind.COMMAND,
        agent: str = AGENT,
    ) -> JobSpec:
        self.packer._grants = SecretRules(tables=lambda: tables, trusted=lambda _: False)
        cwd, wish = str(self.repository.path), Wish(kind=kind, command=command)
        request = Request(agent=agent, workspace=cwd, wish=wish, key=None)
        return self.packer.pack(request, self.packer.locate(cwd))

    async def run(self, spec: JobSpec) -> tuple[JobResult, str]:
        await self.backend.submit(spec)
        await until(self.backend, spec.id, ended)
        result = await self.backend.result(spec.id)
        assert result is not None
        log = await self.backend.log(spec.id, offset=0, limit=1 << 22)
        folder = self.state / "jobs" / spec.id
        eventually(lambda: not any((folder / name).exists() for name in WORKING))
        return result, log.data.decode("utf-8", "replace")


@pytest.fixture
def bench(open_path: Path) -> Bench:
    repository = a_repository(open_path)
    repository.write("spill.py", SPILL)
    repository.write("test_it.py", TESTS)
    repository.write(".cloud-agents/config.toml", CONFIG)
    environ = {"MINE_SETUP": SETUP, "MINE_RUN": RUN, "MINE_BOTH": BOTH}
    return Bench(repository, environ)


def told_by_tools(bench: Bench, job_id: str, artifacts: Sequence[str]) -> dict[str, bytes]:
    """Every answer that an MCP client or a terminal can get of the job."""
    told: dict[str, bytes] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_cloud_agents", "serve"],
        cwd=bench.repository.path,
        env=bench.repository.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        wire = Wire(process, modern=True)
        asked = [("get_job", {"job_id": job_id}), ("wait_job", {"job_id": job_id})]
        asked += [("read_log", {"job_id": job_id, "offset": at}) for at in range(0, 9_000, 3_000)]
        asked += [("get_artifact", {"job_id": job_id, "name": name}) for name in artifacts]
        asked += [("list_jobs", {}), ("apply_patch", {"job_id": job_id, "mode": "check"})]
        for tool, arguments in asked:
            answer = wire.answer(wire.send("tools/call", {"name": tool, "arguments": arguments}))
            told[f"{tool} {arguments}"] = json.dumps(answer, ensure_ascii=False).encode()
        for uri in (job_id, f"{job_id}/log", f"{job_id}/tests", f"{job_id}/patch"):
            answer = wire.answer(wire.send("resources/read", {"uri": f"job://{uri}"}))
            told[uri] = json.dumps(answer, ensure_ascii=False).encode()
        process.kill()
    for words in (("jobs",), ("logs", job_id)):
        done = program(bench.repository, *words)
        told[" ".join(words)] = (done.stdout + done.stderr).encode()
    return told


def showing(told: dict[str, bytes]) -> dict[str, list[str]]:
    return {
        f"{name}: {where}": there
        for where, data in told.items()
        for name, value in VALUES.items()
        if (there := shown(data, value))
    }


async def test_no_way_out_of_a_job_shows_a_secret_in_any_form(bench: Bench) -> None:
    spec = replace(bench.spec(COMMAND, TABLES, kind=Kind.TESTS), runner="unittest")
    result, log = await bench.run(spec)
    assert result.state is JobState.SUCCEEDED, (result.cause, log[-2_000:])
    assert result.verdict is not None
    assert (result.verdict.counts.failed, result.verdict.counts.errors) == (2, 1)
    for said in ("CANARY_SETUP is there", "CANARY_SETUP is missing", "CANARY_RUN is missing"):
        assert said in log
    assert log.count("CANARY_BOTH is there") == 2
    for value in VALUES.values():
        assert leaks(bench.state, value) == {}
    told = told_by_tools(bench, spec.id, [one.name for one in result.artifacts])
    assert len(told) > 10
    assert any(b"[redacted]" in data for data in told.values())
    assert showing(told) == {}


async def test_the_search_finds_the_same_values_where_they_are_no_secrets(bench: Bench) -> None:
    spec = replace(bench.spec(COMMAND, {}, kind=Kind.TESTS), runner="unittest")
    spec = replace(spec, setup=replace(spec.setup, run_env=(("CANARY_RUN", RUN),)))
    await bench.run(spec)
    found = leaks(bench.state / "jobs" / spec.id, RUN)
    assert {"log", "result.json", "artifacts/junit.xml", "spec.json"} <= set(found)
    assert set(found["log"]) == set(forms(RUN))


async def test_a_patch_that_holds_a_secret_is_withheld_with_its_paths(bench: Bench) -> None:
    command = (
        'printf %s "$CANARY_RUN" >in_text; printf \'\\0\\1%s\' "$CANARY_RUN" >in_binary;'
        " echo fine >fine; echo '*.py' >/dev/null"
    )
    result, _ = await bench.run(bench.spec(command, TABLES))
    assert result.state is JobState.SUCCEEDED, result.cause
    assert (result.patch, result.artifacts) == (None, ())
    [note] = [note for note in result.notes if note.startswith("No patch:")]
    assert "it would carry a secret of this job, in in_binary, in_text" in note
    assert leaks(bench.state, RUN) == {}
    clean, _ = await bench.run(bench.spec("echo fine >fine", TABLES))
    assert clean.patch is not None


async def test_a_secret_left_in_the_environment_is_no_environment(bench: Bench) -> None:
    leave = "commands = ['mkdir /env/d; echo \"x=$CANARY_SETUP\" >/env/d/conf']\n"
    bench.repository.write(".cloud-agents/config.toml", f"[setup]\n{leave}")
    result, _ = await bench.run(bench.spec("true", TABLES))
    assert result.cause is not None
    assert result.cause.kind is CauseKind.SETUP_FAILED
    assert "in the file conf" in result.cause.message
    assert leaks(bench.state, SETUP) == {}
    assert list((bench.state / "environments" / "ready").iterdir()) == []


async def test_while_a_job_runs_only_its_own_commands_have_the_value(bench: Bench) -> None:
    bench.repository.write(".cloud-agents/config.toml", "[setup]\ncommands = []\n")
    spec = bench.spec("echo begun; exec sleep 600", TABLES)
    await bench.backend.submit(spec)
    await begun(bench.backend, spec.id)
    assert processes_showing(RUN, "cmdline") == set()
    assert processes_showing(RUN, "environ") <= {"sleep", "sh"}
    assert leaks(bench.state, RUN) == {}
    await bench.backend.cancel(spec.id)
    await until(bench.backend, spec.id, ended)


def processes_showing(value: str, name: str) -> set[str]:
    """Names of processes that show it to whoever may look."""
    found = set[str]()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and value.encode() in (folder / name).read_bytes():
                found.add((folder / "comm").read_text().strip())
    return found


async def test_an_agent_that_is_not_named_gets_no_secret(bench: Bench) -> None:
    spec = bench.spec(f"python3 spill.py {NAMES}", TABLES, agent="run_in_sandbox")
    assert spec.secrets == ()
    _, log = await bench.run(spec)
    assert "is there" not in log
    assert log.count("is missing") == 6


async def test_an_environment_with_a_secret_is_not_shared_with_who_lacks_it(bench: Bench) -> None:
    first, _ = await bench.run(bench.spec("true", TABLES))
    again, _ = await bench.run(bench.spec("true", TABLES))
    other, _ = await bench.run(bench.spec("true", {}))
    assert [one.environment for one in (first, again, other)] == ["built", "cached", "built"]


async def test_a_value_changed_between_two_jobs_is_the_new_one_in_the_second(bench: Bench) -> None:
    bench.repository.write(".cloud-agents/config.toml", "[setup]\ncommands = []\n")
    for value in ("first-canary-0001", "rotated-canary-0002"):
        bench.environ["MINE_RUN"] = value
        _, log = await bench.run(bench.spec('printf %s "$CANARY_RUN" | sha256sum', TABLES))
        assert hashlib.sha256(value.encode()).hexdigest() in log


async def test_a_missing_secret_refuses_the_job_before_anything_starts(bench: Bench) -> None:
    del bench.environ["MINE_RUN"]
    spec = bench.spec("true", TABLES)
    with pytest.raises(SecretUnusable, match=r"CANARY_RUN \(env:MINE_RUN\) cannot be used"):
        await bench.backend.submit(spec)
    assert not (bench.state / "jobs" / spec.id).exists()
