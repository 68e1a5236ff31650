"""What a fresh reviewer found: damage, kills and odd trees that once gave a wrong answer."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.wire import Connect, Repository

pytestmark = pytest.mark.timeout(180)
SLOW = "echo begun; sleep 30"


def folder_of(repository: Repository, job: str) -> Path:
    return Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "jobs", job)


def children_of(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_damaged_job_that_is_listened_to_does_not_end_the_server(
    repository: Repository, connect: Connect
) -> None:
    wire = connect("legacy")
    job = wire.call("run_in_sandbox", {"command": SLOW})["job_id"]
    wire.answer(wire.send("resources/subscribe", {"uri": f"job://{job}/log"}))
    state = folder_of(repository, job) / "state.json"
    state.unlink()
    state.mkdir()
    assert wire.call("get_job", {"job_id": job})["error"]["code"] == "job_corrupt"
    assert wire.call("list_jobs")["jobs"][0]["state"] == "job_corrupt"
    (folder_of(repository, job) / "cancel").touch()


def test_tight_limits_of_a_repository_do_not_cost_it_the_patch(
    repository: Repository, connect: Connect
) -> None:
    repository.write(
        ".cloud-agents/config.toml", "[setup]\ncommands = []\n[limits]\ndisk_mib = 64\n"
    )
    wire = connect()
    done = wire.finished(wire.call("run_in_sandbox", {"command": "echo hi > new.txt"})["job_id"])
    assert done["patch"]["paths"] == ["new.txt"]


def test_a_tree_a_thousand_folders_deep_is_an_ordinary_end(connect: Connect) -> None:
    wire = connect()
    command = "echo x > kept.txt; for i in $(seq 1000); do mkdir d && cd d || exit 3; done"
    done = wire.finished(wire.call("run_in_sandbox", {"command": command})["job_id"])
    assert (done["state"], done["exit_code"]) == ("succeeded", 0)
    assert done["patch"]["paths"] == ["kept.txt"]


def test_a_key_means_another_job_in_another_worktree(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    other = repository.path / "linked"
    repository.git("worktree", "add", "-q", str(other))
    here = {"command": "echo here", "idempotency_key": "k"}
    there = {"command": "echo there", "idempotency_key": "k", "workspace": str(other)}
    jobs = {wire.call("run_in_sandbox", arguments)["job_id"] for arguments in (here, there)}
    assert len(jobs) == 2


def test_a_sandbox_killed_from_outside_is_not_told_as_never_started(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = wire.call("run_in_sandbox", {"command": SLOW})["job_id"]
    while "begun\n" not in wire.call("read_log", {"job_id": job})["text"]:
        wire.call("wait_job", {"job_id": job, "timeout_s": 0.2})
    state = json.loads((folder_of(repository, job) / "state.json").read_bytes())
    for pid in children_of(state["supervisor"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    done = wire.finished(job)
    assert (done["state"], done["error"]["code"]) == ("failed", "sandbox_died")


def test_a_result_that_is_gone_is_never_told_as_a_success(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = wire.call("run_in_sandbox", {"command": "true"})["job_id"]
    wire.finished(job)
    (folder_of(repository, job) / "result.json").unlink()
    assert wire.call("get_job", {"job_id": job})["error"]["code"] == "job_corrupt"


def test_a_supervisor_killed_after_its_last_word_did_not_lose_it(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = wire.call("run_in_sandbox", {"command": "exit 7"})["job_id"]
    wire.finished(job)
    with (folder_of(repository, job) / "lock").open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # waits until the supervisor lets go
    state = folder_of(repository, job) / "state.json"
    stored = json.loads(state.read_bytes())
    stored["status"]["state"] = "collecting"
    stored["status"]["history"] = stored["status"]["history"][:-1]
    state.write_text(json.dumps(stored))
    done = wire.call("get_job", {"job_id": job})
    assert (done["state"], done["exit_code"]) == ("succeeded", 7)


def test_a_log_past_its_limit_says_how_much_is_missing(
    repository: Repository, connect: Connect
) -> None:
    del repository
    wire = connect(MCP_CLOUD_AGENTS_LIMITS_LOG_MIB="1")
    job = wire.call("run_in_sandbox", {"command": "yes 0123456789 | head -c 3000000"})["job_id"]
    done = wire.finished(job)
    (note,) = done["notes"]
    assert note.startswith("The log reached its limit of 1 MiB: ")
    assert done["exit_code"] == 0


def test_the_index_is_readable_for_its_owner_alone(
    repository: Repository, connect: Connect
) -> None:
    connect().call("list_jobs")
    index = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "records.sqlite")
    assert index.stat().st_mode & 0o777 == 0o600


def test_a_server_started_outside_of_any_worktree_sends_nothing_unasked(
    repository: Repository, connect: Connect
) -> None:
    shutil.rmtree(repository.path / ".git")
    inner = repository.path / "inner"
    inner.mkdir()
    Repository(inner, repository.env).git("init", "-q")
    answer = connect().call("run_in_sandbox", {"command": "true", "workspace": str(inner)})
    assert answer["error"]["code"] == "workspace_not_allowed"
