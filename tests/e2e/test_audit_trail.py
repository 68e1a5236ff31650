"""What the audit says of real calls: who acted, with which secrets, into which worktree."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.terminal import program
from tests.e2e.test_trust import answer
from tests.e2e.wire import Connect, Repository
from tests.leaks import leaks, shown

pytestmark = pytest.mark.timeout(180)
IDS = {"modern": "callId", "legacy": "claudecode/toolUseId"}
CLIENT = {"io.modelcontextprotocol/clientInfo": {"name": "codex", "version": "9.1"}}
SECRETS = """\
[secrets.BY_PATH]
source = "file:{file}"
agents = ["run_in_sandbox"]
workspaces = ["{workspace}"]

[secrets.BY_TRUST]
source = "env:MINE"
agents = ["*"]
phases = ["setup", "run"]
"""
COMMAND = 'printf %s "$BY_PATH" | sha256sum; echo "trusted=${BY_TRUST:-none}" >new'
SPILLING = 'echo "$BY_PATH"; printf %s "$BY_PATH" | base64; echo "$BY_PATH" >&2'


@pytest.fixture
def file(repository: Repository) -> Path:
    """A secret in a file, which the person's settings give to this worktree."""
    made = Path(repository.env["HOME"], "token")
    made.write_text("file-canary-0001\n")
    made.chmod(0o600)
    config(repository, SECRETS.format(file=made, workspace=repository.path))
    return made


def config(repository: Repository, text: str) -> None:
    path = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def entries(repository: Repository) -> list[dict[str, Any]]:
    """All, oldest first; the chain is whole."""
    assert program(repository, "audit", "verify").returncode == 0
    shown = program(repository, "audit", "show", "--json", "--limit", "1000").stdout
    return [json.loads(line)["entry"] for line in shown.splitlines()]


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_every_entry_names_the_client_the_call_and_the_account(
    repository: Repository, connect: Connect, file: Path, era: str
) -> None:
    wire = connect(era, MINE="env-canary-0001")
    extra: dict[str, Any] = CLIENT if era == "modern" else {}

    def call(tool: str, number: int, **arguments: Any) -> dict[str, Any]:
        return wire.call(tool, arguments, **{IDS[era]: f"call-{number}"}, **extra)

    job = call("run_in_sandbox", 1, command=f"{COMMAND}; {SPILLING}", wait_s=50)
    assert job["log"]["tail"].count("[redacted]") == 3
    assert shown(json.dumps(job).encode(), "file-canary-0001") == []
    call("apply_patch", 2, job_id=job["job_id"], mode="branch")
    long = call("run_in_sandbox", 3, command="sleep 100")
    call("cancel_job", 4, job_id=long["job_id"])
    wire.finished(long["job_id"])
    again = call("run_in_sandbox", 3, command="sleep 100")
    assert (again["job_id"], again["state"]) == (long["job_id"], "cancelled")
    told = entries(repository)
    assert [one["action"] for one in told] == [
        *("allowed", "secrets", "applied"),
        *("allowed", "secrets", "cancelled"),
    ]
    actors = [one["actor"] for one in told]
    assert [one["call_id"][-1] for one in actors] == ["1", "1", "2", "3", "3", "4"]
    names = {(one["client"], one["client_version"]) for one in actors}
    assert names == {("codex", "9.1") if era == "modern" else ("t", "0")}
    assert all(one["os_user"] and one["session"].startswith("server ") for one in actors)
    assert told[1]["details"] == [["BY_PATH", f"file:{file}"]]
    state = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])
    assert leaks(state, "file-canary-0001") == {}


@pytest.mark.slow
def test_a_person_who_cancels_applies_and_undoes_is_named(repository: Repository) -> None:
    done = program(repository, "submit", "command", "echo new >new", "--json")
    job = json.loads(done.stdout)["job_id"]
    for words in (("apply", job), ("apply", job, "--undo"), ("cancel", job)):
        assert program(repository, *words).returncode == 0
    told = entries(repository)
    assert [one["action"] for one in told] == ["allowed", "applied", "undone", "cancelled"]
    assert {one["actor"]["client"] for one in told} == {"terminal"}
    assert all(one["job_id"] == job for one in told)
    applied = dict(told[1]["details"])
    assert (applied["mode"], applied["into"]) == ("worktree", str(repository.path))
    assert len(applied["patch"]) == 64
    assert told[2]["details"] == [["into", str(repository.path)]]


@pytest.mark.slow
def test_a_changed_file_is_the_new_value_and_a_changed_tree_is_not_trusted(
    repository: Repository, connect: Connect, file: Path
) -> None:
    wire = connect("modern", MINE="env-canary-0001")
    for value in ("file-canary-0001", "file-canary-0002"):
        file.write_text(f"{value}\n")
        job = wire.call("run_in_sandbox", {"command": COMMAND, "wait_s": 50, "fresh": True})
        assert hashlib.sha256(value.encode()).hexdigest() in job["log"]["tail"]
        assert job["patch"]["paths"] == ["new"]
    code, seen = answer(repository, b"y\n")
    assert (code, "on every branch" in seen) == (0, True)
    for setup in ("", 'commands = ["echo setup=$BY_TRUST"]'):
        if setup:
            repository.write(".cloud-agents/config.toml", f"[setup]\n{setup}\n")
        wire.call("run_in_sandbox", {"command": COMMAND, "wait_s": 50, "fresh": True})
    told = [one for one in entries(repository) if one["action"] in ("secrets", "trusted")]
    trusted = told.pop(2)
    assert (trusted["action"], trusted["actor"]["client"]) == ("trusted", "terminal")
    assert trusted["actor"]["session"].startswith("terminal ")
    given = [sorted(dict(one["details"])) for one in told]
    assert given == [["BY_PATH"], ["BY_PATH"], ["BY_PATH", "BY_TRUST"], ["BY_PATH"]]


def test_a_job_that_got_no_secret_is_released_in_the_audit(
    repository: Repository, connect: Connect, file: Path
) -> None:
    file.unlink()
    refused = connect().call("run_in_sandbox", {"command": "true"})
    assert refused["error"]["code"] == "secret_unusable"
    told = entries(repository)
    assert [one["action"] for one in told] == ["allowed", "secrets", "released"]
    assert told[2]["reason"] == refused["error"]["message"]


def test_a_client_that_looks_like_the_terminal_is_told_apart(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    for name in ("Terminal ", "termina\u217c", "terminal\u200b"):
        info = {"name": name, "version": "1"}
        extra: dict[str, Any] = {"io.modelcontextprotocol/clientInfo": info}
        wire.call("run_in_sandbox", {"command": f": {name}"}, **extra)
    assert [one["actor"]["client"] for one in entries(repository)] == [
        *("a client named Terminal", r"termina\u217c", r"terminal\u200b")
    ]
