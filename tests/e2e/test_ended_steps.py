"""A cancel or a deadline while git works for a job: the step ends at once, and what is there stays.

Git is held for ever by a pipe where it looks for a file of its own, so that no test has to be
faster than a step.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(180)
SOON_S = 4.0
"""About a second is promised; the rest is for a loaded machine."""
WAIT_FOR_GO = "until [ -e go ]; do sleep 0.02; done"


def state_dir(repository: Repository) -> Path:
    return Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])


def folder_of(repository: Repository, job: str) -> Path:
    return state_dir(repository) / "jobs" / job


def hold(path: Path) -> None:
    """Whoever reads this file waits."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    path.chmod(0o644)


def reach(wire: Wire, job: str, state: str) -> None:
    while (seen := wire.call("wait_job", {"job_id": job, "timeout_s": 0.1}))["state"] != state:
        assert not seen["done"], seen


def history_of(repository: Repository, job: str) -> list[tuple[str, float]]:
    stored = json.loads((folder_of(repository, job) / "state.json").read_bytes())
    return [(state, at) for state, at in stored["status"]["history"]]


def held_in_restore(wire: Wire, repository: Repository) -> str:
    """A job that is about to restore, and whose git will not end."""
    first = wire.call("run_in_sandbox", {"command": "sleep 600"})["job_id"]
    reach(wire, first, "running")
    second = wire.call("run_in_sandbox", {"command": "echo never"})["job_id"]
    (store,) = (state_dir(repository) / "repositories").glob("*.git")
    hold(store / "objects" / "info" / "alternates")
    wire.call("cancel_job", {"job_id": first})
    return second


def held_in_collect(wire: Wire, repository: Repository, tool: str, command: str) -> str:
    """A job that collects, and whose git will not end."""
    job = wire.call(tool, {"command": f"{command}; {WAIT_FOR_GO}"})["job_id"]
    reach(wire, job, "running")
    folder = folder_of(repository, job)
    hold(folder / "git" / "info" / "exclude")
    (folder / "workspace" / "go").touch()
    reach(wire, job, "collecting")
    return job


def cancelled(wire: Wire, repository: Repository, job: str) -> dict[str, Any]:
    """The envelope of a job that is cancelled now and ends soon."""
    wire.call("cancel_job", {"job_id": job})
    asked_at = (folder_of(repository, job) / "cancel").stat().st_mtime
    done = wire.finished(job)
    assert (done["ok"], done["state"], done["error"]["code"]) == (False, "cancelled", "cancelled")
    assert history_of(repository, job)[-1][1] - asked_at < SOON_S
    return done


def test_a_cancel_ends_the_restore(repository: Repository, connect: Connect) -> None:
    wire = connect(MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1")
    job = held_in_restore(wire, repository)
    reach(wire, job, "starting")
    done = cancelled(wire, repository, job)
    assert "while its tree was restored" in done["error"]["message"]
    assert [state for state, _ in history_of(repository, job)] == [
        *("queued", "starting", "cancelled")
    ]
    assert not (folder_of(repository, job) / "workspace").exists()


@pytest.mark.slow
def test_a_restore_beyond_its_time_is_told_as_that(
    repository: Repository, connect: Connect
) -> None:
    wire = connect(
        MCP_CLOUD_AGENTS_CONCURRENT_JOBS="1", MCP_CLOUD_AGENTS_LIMITS_SETUP_TIMEOUT_MINUTES="0.05"
    )
    job = held_in_restore(wire, repository)
    done = wire.finished(job)
    assert (done["state"], done["error"]["code"]) == ("timed_out", "timeout")
    assert done["error"]["message"] == "The tree was not restored within 3 s."
    (_, started_at), (_, ended_at) = history_of(repository, job)[-2:]
    assert ended_at - started_at < 3 + SOON_S


def test_a_cancel_ends_the_collection_and_keeps_the_report(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = held_in_collect(wire, repository, "run_tests_cloud", "python3 -m unittest")
    done = cancelled(wire, repository, job)
    assert "while its results were collected" in done["error"]["message"]
    assert [state for state, _ in history_of(repository, job)] == [
        *("queued", "starting", "running", "collecting", "cancelled")
    ]
    assert (done["verdict"], done["tests"]["counts"]["passed"]) == ("passed", 1)
    assert [one["name"] for one in done["artifacts"]] == ["junit.xml"]
    assert done["notes"] == ["No patch: git was stopped: the job was cancelled."]
    assert os.listdir(folder_of(repository, job) / "artifacts") == ["junit.xml"]
    assert "Ran 1 test" in wire.call("read_log", {"job_id": job})["text"]


def test_what_a_cancelled_run_changed_is_kept_when_that_is_quick(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = wire.call("run_in_sandbox", {"command": "echo new > new.txt; sleep 600"})["job_id"]
    while not (folder_of(repository, job) / "workspace" / "new.txt").exists():
        wire.call("wait_job", {"job_id": job, "timeout_s": 0.1})
    done = cancelled(wire, repository, job)
    assert done["patch"]["paths"] == ["new.txt"]


def test_pipes_and_sockets_that_a_job_leaves_are_named(
    repository: Repository, connect: Connect
) -> None:
    repository.write(".gitignore", "ignored/\n")
    repository.write("was-a-file", "1\n")
    wire = connect()
    command = (
        "rm was-a-file; mkdir ignored dir; mkfifo was-a-file dir/pipe ignored/pipe .gitignore2;"
        " python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'"
    )
    only_odd = wire.finished(wire.call("run_in_sandbox", {"command": command})["job_id"])
    why = "(a pipe, socket or device)."
    assert only_odd["notes"] == [
        f"Left out of the patch: {name} {why}"
        for name in (".gitignore2", "dir/pipe", "sock", "was-a-file")
    ]
    assert "patch" not in only_odd
    job = wire.call("run_in_sandbox", {"command": "mkfifo pipe; echo new > new.txt"})["job_id"]
    done = wire.finished(job)
    assert done["patch"]["paths"] == ["new.txt"]
    assert done["patch"]["refused"] == ["pipe: a pipe, socket or device"]


def test_a_line_that_cannot_be_joined_fails_the_job_with_a_cause(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    wire.call("list_jobs")  # makes the state folder
    queue = state_dir(repository) / "queue"
    queue.rmdir()
    queue.touch()
    done = wire.finished(wire.call("run_in_sandbox", {"command": "true"})["job_id"])
    assert (done["state"], done["error"]["code"]) == ("failed", "internal")
    assert str(queue) in done["error"]["message"]
