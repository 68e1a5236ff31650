"""The spare worker of a server: it takes jobs, dies at any time, and nobody ever misses a job."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import load
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(180)
RAN = "echo ran"
SLOW = "echo begun; sleep 2; echo ended"


def until(there: Callable[[], bool]) -> None:
    """Look again and again, for a minute at most."""
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline, "it did not come to pass"
        os.sched_yield()


def words_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def forks_of_spare(server: int) -> list[int]:
    """The spare of a server, and the supervisors that were forked from it."""
    pids = (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
    return [
        pid for pid in pids if "--spare" in (words := words_of(pid)) and words[-1] == str(server)
    ]


def state_dir(repository: Repository) -> Path:
    return Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])


def supervisor_of(repository: Repository, job: str) -> int:
    state = json.loads((state_dir(repository) / "jobs" / job / "state.json").read_bytes())
    return state["supervisor"]["pid"]


def gone(pid: int) -> bool:
    return not words_of(pid)


def a_job_at_its_end(wire: Wire, command: str = RAN) -> str:
    job = wire.call("run_in_sandbox", {"command": command, "fresh": True})["job_id"]
    done = wire.finished(job)
    assert (done["state"], done["exit_code"]) == ("succeeded", 0), done
    return job


def waiting_spare(wire: Wire, repository: Repository) -> int:
    """The spare, once the job before has left it alone."""
    supervisor = supervisor_of(repository, a_job_at_its_end(wire))
    until(lambda: gone(supervisor))
    (spare,) = forks_of_spare(wire.process.pid)
    return spare


def test_the_spare_takes_the_job_and_stays(repository: Repository, connect: Connect) -> None:
    wire = connect()
    spare = waiting_spare(wire, repository)
    job = wire.call("run_in_sandbox", {"command": SLOW})["job_id"]
    supervisor = supervisor_of(repository, job)
    until(lambda: sorted(forks_of_spare(wire.process.pid)) == sorted([spare, supervisor]))
    assert len({os.getsid(pid) for pid in (wire.process.pid, spare, supervisor)}) == 3
    parent = Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1]
    assert int(parent) not in (spare, wire.process.pid)
    assert wire.finished(job)["state"] == "succeeded"
    until(lambda: forks_of_spare(wire.process.pid) == [spare])
    assert gone(supervisor)


def test_no_spare_waits_before_a_job_was_wanted(connect: Connect) -> None:
    wire = connect()
    wire.call("list_jobs")
    assert forks_of_spare(wire.process.pid) == []


def test_a_killed_spare_costs_no_job_and_another_takes_its_place(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    spare = waiting_spare(wire, repository)
    os.kill(spare, signal.SIGKILL)
    until(lambda: gone(spare))
    assert waiting_spare(wire, repository) != spare


def handed_to_a_stopped_spare(wire: Wire, repository: Repository) -> tuple[int, int]:
    """A submit whose job lies before a spare that does not move; the spare, and the call."""
    spare = waiting_spare(wire, repository)
    before = set(os.listdir(state_dir(repository) / "jobs"))
    os.kill(spare, signal.SIGSTOP)
    call = {"name": "run_in_sandbox", "arguments": {"command": RAN, "fresh": True}}
    number = wire.send("tools/call", call)
    jobs = state_dir(repository) / "jobs"
    until(lambda: any(not name.startswith(".") for name in {*os.listdir(jobs)} - before))
    return spare, number


def ran_once(wire: Wire, answer: dict[str, Any]) -> bool:
    job = answer["result"]["structuredContent"]["job_id"]
    assert wire.finished(job)["state"] == "succeeded"
    return wire.call("read_log", {"job_id": job})["text"].count("\nran\n") == 1


def test_a_spare_killed_with_a_job_before_it_costs_no_job(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    spare, number = handed_to_a_stopped_spare(wire, repository)
    os.kill(spare, signal.SIGKILL)
    assert ran_once(wire, wire.answer(number))


@pytest.mark.slow
def test_a_spare_that_hangs_is_not_waited_for_and_does_not_run_the_job_twice(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    spare, number = handed_to_a_stopped_spare(wire, repository)
    answer = wire.answer(number)
    job = answer["result"]["structuredContent"]["job_id"]
    assert "--spare" not in words_of(supervisor_of(repository, job))
    os.kill(spare, signal.SIGCONT)
    assert ran_once(wire, answer)
    until(lambda: gone(spare))  # its door is closed
    assert waiting_spare(wire, repository) != spare


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "eof"])
def test_no_spare_outlives_its_server(repository: Repository, connect: Connect, how: str) -> None:
    wire = connect()
    spare = waiting_spare(wire, repository)
    if how == "eof":
        wire.say_goodbye()
    else:
        wire.process.kill()
    wire.process.wait()
    until(lambda: gone(spare))


@pytest.mark.slow
def test_a_job_that_the_spare_took_survives_server_and_spare(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    spare = waiting_spare(wire, repository)
    job = wire.call("run_in_sandbox", {"command": SLOW})["job_id"]
    os.kill(spare, signal.SIGKILL)
    os.killpg(wire.process.pid, signal.SIGKILL)
    wire.process.wait()
    second = connect()
    assert second.finished(job)["state"] == "succeeded"
    assert "begun\nended" in second.call("read_log", {"job_id": job})["text"]


def test_jobs_submitted_at_once_are_each_taken(repository: Repository, connect: Connect) -> None:
    wire = connect()
    numbers = [
        wire.send(
            "tools/call", {"name": "run_in_sandbox", "arguments": {"command": f"{RAN}; exit {n}"}}
        )
        for n in range(4)
    ]
    jobs: dict[int, str] = {}
    while len(jobs) < len(numbers):
        frame = wire.frame(time.monotonic() + 60)
        if frame.get("id") in numbers:
            jobs[numbers.index(frame["id"])] = frame["result"]["structuredContent"]["job_id"]
    codes = {number: wire.finished(job)["exit_code"] for number, job in jobs.items()}
    assert codes == {number: number for number in range(4)}
    assert len(set(jobs.values())) == 4


def surroundings(pid: int, job: str) -> dict[str, Any]:
    """What a process got from whoever started it, as far as it should not depend on that."""
    place = Path(f"/proc/{pid}")
    status = place.joinpath("status").read_text()
    kept = ("Umask", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Seccomp", "CapEff", "Groups")
    targets = (os.readlink(one) for one in sorted((place / "fd").iterdir()))
    files = {
        re.sub(r"\d{20}|:\[\d+\]|mca-\d+-\d+", "", target.replace(job, "JOB"))
        for target in targets
        if not target.startswith("/proc/")  # open for the moment of a look at memory
    }
    return {
        "status": re.findall(rf"^(?:{'|'.join(kept)}):.*", status, re.MULTILINE),
        "environ": place.joinpath("environ").read_bytes(),
        "cwd": os.readlink(place / "cwd"),
        "limits": place.joinpath("limits").read_text(),
        "files": files,
    }


WAITING = "echo begun; sleep 60"


def started_alone(repository: Repository) -> dict[str, Any]:
    """Around a supervisor whose submit kept no spare, as the command line does."""
    runner = runner_for(load(repository.env, cwd=str(repository.path)))

    async def look() -> dict[str, Any]:
        wish = Wish(kind=Kind.COMMAND, command=WAITING)
        where = str(repository.path)
        request = Request(agent="run_in_sandbox", workspace=where, wish=wish, key=None)
        job = (await runner.submit(request)).spec.id
        with anyio.fail_after(60):
            async with runner.watch(job) as watch:
                while b"begun\n" not in (await runner.log(job, offset=0, limit=4096)).data:
                    await watch.changed(timeout_s=1)
        found = surroundings(supervisor_of(repository, job), job)
        await runner.cancel(job)
        await runner.wait(job, timeout_s=50)
        return found

    return anyio.run(look)


def forked_from_spare(repository: Repository, wire: Wire) -> dict[str, Any]:
    job = wire.call("run_in_sandbox", {"command": WAITING, "fresh": True})["job_id"]
    while "begun" not in wire.call("read_log", {"job_id": job})["text"]:
        wire.call("wait_job", {"job_id": job, "timeout_s": 0.2})
    supervisor = supervisor_of(repository, job)
    assert supervisor in forks_of_spare(wire.process.pid)
    found = surroundings(supervisor, job)
    wire.call("cancel_job", {"job_id": job})
    wire.finished(job)
    assert (state_dir(repository) / "jobs" / job / "supervisor.log").read_text() == ""
    return found


@pytest.mark.slow
def test_a_supervisor_from_the_spare_is_like_one_that_was_started_alone(
    repository: Repository, connect: Connect
) -> None:
    alone = started_alone(repository)
    assert forks_of_spare(os.getpid()) == []
    assert forked_from_spare(repository, connect()) == alone
