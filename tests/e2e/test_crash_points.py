"""Killed at each step of a submit and of a job: what the next start sees, and that nothing is lost.

claim ─ folder ─ spawn ─ queued ─ starting ─ set-up ─ running ─ collecting ─ result
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.backends.local.follow import follow
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.delegation.roots import scoped_key
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.job import JobSpec, Kind
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.job_folder import JobFolder, StoredStatus
from tests.e2e.wire import Connect, Repository, Wire
from tests.tiers import tiers

pytestmark = pytest.mark.timeout(180)
KEY = "deploy-7"
SUBMIT = {"command": "echo ran", "idempotency_key": KEY}
SLOW_SETUP = "[setup]\ncommands = ['echo preparing; sleep 600']\n"
MANY_FILES = "for n in $(seq 4000); do echo $n > file-$n; done"


def state_dir(repository: Repository) -> Path:
    return Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])


def folder_of(repository: Repository, job: str) -> JobFolder:
    return JobFolder(str(state_dir(repository) / "jobs" / job))


def stored(folder: JobFolder) -> StoredStatus | None:
    path = Path(folder.file("state.json"))
    return msgspec.json.decode(path.read_bytes(), type=StoredStatus) if path.exists() else None


def runner_of(repository: Repository) -> JobRunner:
    return runner_for(load(repository.env, cwd=str(repository.path)))


def packed(runner: JobRunner, repository: Repository) -> JobSpec:
    """What a submit has made just before it claims."""
    wish = Wish(kind=Kind.COMMAND, command=SUBMIT["command"])
    where = str(repository.path)
    origin = runner._places.first.packer.locate(where)
    key = scoped_key(f"caller:{KEY}", origin)
    request = Request(agent="run_in_sandbox", workspace=where, wish=wish, key=key)
    return runner._places.first.packer.pack(request, origin)


def log_of(wire: Wire, job: str) -> str:
    return wire.call("read_log", {"job_id": job})["text"]


# A submit that was killed


def test_a_submit_killed_after_its_claim_is_started_by_the_same_key(
    repository: Repository, connect: Connect
) -> None:
    runner = runner_of(repository)
    spec = packed(runner, repository)
    runner._records.claim(Record(spec=spec, backend="local"))
    wire = connect()
    (line,) = wire.call("list_jobs")["jobs"]
    assert (line["job_id"], line["state"]) == (spec.id, "unknown_job")
    assert wire.call("get_job", {"job_id": spec.id})["error"]["code"] == "unknown_job"
    answer = wire.call("run_in_sandbox", SUBMIT)
    assert answer["job_id"] == spec.id
    assert wire.finished(spec.id)["state"] == "succeeded"


def test_a_submit_killed_before_the_supervisor_started_is_started_by_the_same_key(
    repository: Repository, connect: Connect
) -> None:
    runner = runner_of(repository)
    spec = packed(runner, repository)
    runner._records.claim(Record(spec=spec, backend="local"))
    backend = runner._places.first.backend
    assert isinstance(backend, LocalBackend)
    host = backend._host
    JobFolder.create(backend._jobs, spec, host, shared=host.owner is not None)
    wire = connect()
    assert wire.call("get_job", {"job_id": spec.id})["state"] == "queued"
    assert wire.call("run_in_sandbox", SUBMIT)["job_id"] == spec.id
    assert wire.finished(spec.id)["state"] == "succeeded"
    assert log_of(wire, spec.id).count("\nran\n") == 1


@pytest.mark.parametrize("seed", tiers(range(3), *range(3, 8)))
def test_a_server_killed_while_it_submits_leaves_one_job_for_its_key(
    repository: Repository, connect: Connect, seed: int
) -> None:
    first = connect()
    first.call("list_jobs")  # the server is up: what is killed is the submit
    first.send("tools/call", {"name": "run_in_sandbox", "arguments": SUBMIT})
    with contextlib.suppress(subprocess.TimeoutExpired):
        first.process.wait(random.Random(seed).uniform(0, 0.4))  # noqa: S311  a repeatable moment
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait()
    second = connect()
    answer = second.call("run_in_sandbox", SUBMIT)
    done = second.finished(answer["job_id"])
    assert (done["state"], done.get("exit_code")) == ("succeeded", 0), done
    assert [line["job_id"] for line in second.call("list_jobs")["jobs"]] == [done["job_id"]]
    folders = os.listdir(state_dir(repository) / "jobs")
    assert [name for name in folders if not name.startswith(".")] == [done["job_id"]]
    assert log_of(second, done["job_id"]).count("\nran\n") == 1


# A supervisor that was killed


def kill_when(folder: JobFolder, reached: Callable[[], bool]) -> None:
    """SIGKILL the job's supervisor as soon as it is that far."""

    async def follow_and_kill() -> None:
        with anyio.fail_after(60):
            async with follow(folder.path) as watch:
                while not reached():
                    await watch.changed(timeout_s=1)
        found = stored(folder)
        assert found is not None
        os.kill(found.supervisor.pid, signal.SIGKILL)

    anyio.run(follow_and_kill)


def is_in(folder: JobFolder, state: str) -> Callable[[], bool]:
    def reached() -> bool:
        found = stored(folder)
        assert found is None or not found.status.state.done, "the job ended before it was killed"
        return found is not None and found.status.state == state

    return reached


def has_said(folder: JobFolder, words: bytes) -> Callable[[], bool]:
    path = Path(folder.file("log"))
    return lambda: path.exists() and words in path.read_bytes()


def check_lost(wire: Wire, job: str) -> dict[str, Any]:
    done = wire.finished(job)
    assert (done["ok"], done["state"], done["error"]["code"]) == (False, "lost", "supervisor_died")
    return done


def check_work_goes_on(wire: Wire, command: str) -> None:
    """The same work again: nothing that the dead one held is in its way."""
    again = wire.call("run_in_sandbox", {"command": command, "fresh": True})
    assert wire.finished(again["job_id"])["state"] == "succeeded"


def test_a_supervisor_killed_in_the_queue_is_lost_and_its_ticket_is_swept(
    repository: Repository, connect: Connect
) -> None:
    wire = connect(MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1")
    first = wire.call("run_in_sandbox", {"command": "echo begun; sleep 600"})["job_id"]
    second = wire.call("run_in_sandbox", {"command": "echo never"})["job_id"]
    third = wire.call("run_in_sandbox", {"command": "echo third"})["job_id"]
    kill_when(folder_of(repository, second), is_in(folder_of(repository, second), "queued"))
    check_lost(wire, second)
    wire.call("cancel_job", {"job_id": first})
    assert wire.finished(third)["state"] == "succeeded"
    assert "never" not in log_of(wire, second)


def test_a_supervisor_killed_as_it_starts_is_lost(repository: Repository, connect: Connect) -> None:
    wire = connect(MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1")
    for number in range(200):
        repository.write(f"many/file-{number}", "x" * number)
    job = wire.call("run_in_sandbox", {"command": "true"})["job_id"]
    folder = folder_of(repository, job)
    kill_when(folder, is_in(folder, "starting"))
    check_lost(wire, job)
    check_work_goes_on(wire, "true")


def test_a_supervisor_killed_in_set_up_leaves_no_half_environment(
    repository: Repository, connect: Connect
) -> None:
    wire = connect(MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1")
    repository.write(".cloud-agents/config.toml", SLOW_SETUP)
    job = wire.call("run_in_sandbox", {"command": "ls /env"})["job_id"]
    kill_when(folder_of(repository, job), has_said(folder_of(repository, job), b"\npreparing"))
    check_lost(wire, job)
    quick = "if [ -e /env/half ]; then exit 3; fi; mkdir /env/half"
    repository.write(".cloud-agents/config.toml", f"[setup]\ncommands = ['{quick}']\n")
    check_work_goes_on(wire, "ls /env")
    assert not list(state_dir(repository).glob("environments/*.building*"))


def test_a_supervisor_killed_while_the_command_runs_takes_the_command_with_it(
    repository: Repository, connect: Connect
) -> None:
    wire = connect(MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1")
    command = "trap '' TERM HUP; echo begun; (setsid sleep 600 &) ; sleep 600"
    job = wire.call("run_in_sandbox", {"command": command})["job_id"]
    kill_when(folder_of(repository, job), has_said(folder_of(repository, job), b"\nbegun"))
    assert "begun" in check_lost(wire, job)["log"]["tail"]
    check_work_goes_on(wire, "true")


@pytest.mark.slow
def test_a_supervisor_killed_while_it_collects_has_no_result(
    repository: Repository, connect: Connect
) -> None:
    wire = connect(MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1")
    job = wire.call("run_in_sandbox", {"command": MANY_FILES})["job_id"]
    folder = folder_of(repository, job)
    kill_when(folder, is_in(folder, "collecting"))
    done = check_lost(wire, job)
    assert "patch" not in done
    assert wire.call("get_artifact", {"job_id": job, "name": "patch.diff"})["ok"] is False
    check_work_goes_on(wire, "true")
