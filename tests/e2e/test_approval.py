"""A job that waits for a person: the real server over stdio, and a person in a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from typing import Any

import pytest

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.storage.sqlite_approvals import SqliteApprovals
from tests.asking import asks
from tests.e2e.terminal import PROGRAM, Terminal, program
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(180)
CONTROLS = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
FOREGROUND = CONTROLS + "os.execv(sys.argv[1], sys.argv[1:])"
BACKGROUND = CONTROLS + (
    "import subprocess; sys.exit(subprocess.call(sys.argv[1:], process_group=0))"
)
CAN_ASK: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


@pytest.fixture(autouse=True)
def asking(repository: Repository) -> None:
    asks(repository)


def waiting(repository: Repository, command: str = "echo hello") -> str:
    """The id of a job that waits for a person."""
    done = program(repository, "submit", "command", "--detach", command)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def at_a_terminal(repository: Repository, *words: str, launch: str = FOREGROUND) -> Terminal:
    """The program with a terminal that controls it, as a person's shell starts it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", launch, *PROGRAM, *words],
        cwd=repository.path,
        env={**repository.env, "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    return Terminal(process, master)


def state(repository: Repository, job: str) -> str:
    listed = json.loads(program(repository, "jobs", "--json").stdout)
    return next(line["state"] for line in listed if line["job_id"] == job)


def test_a_person_who_types_yes_starts_what_was_shown(repository: Repository) -> None:
    job = waiting(repository, "printf 'one\\n'; printf '\\033[31mtwo\\n' # \x1b[31m")
    screen = at_a_terminal(repository, "approve", job, "--why", "fine")
    screen.until("[y/N]")
    for told in ("costs     at most 0 USD", "rule      look first: a person looks", "printf 'one"):
        assert told in screen.seen
    assert "\x1b[31m" not in screen.seen
    os.write(screen.master, b"yes\n")
    assert screen.end() == 0, screen.seen
    done = program(repository, "attach", job)
    assert done.returncode == 0
    assert done.stdout.startswith("$ printf")


@pytest.mark.slow
def test_anything_but_a_yes_leaves_the_question_open(repository: Repository) -> None:
    job = waiting(repository)
    for typed in (b"\n", b"n\n", b"yes please\n", b"\x04"):
        screen = at_a_terminal(repository, "approve", job)
        screen.until("[y/N]")
        os.write(screen.master, typed)
        assert screen.end() == 1, screen.seen
    assert state(repository, job) == "awaiting_approval"


def test_a_yes_without_a_person_is_refused(repository: Repository) -> None:
    job = waiting(repository)
    piped = subprocess.run(
        [*PROGRAM, "approve", job],
        cwd=repository.path,
        env=repository.env,
        input="y\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    agents = program(repository, "approve", job, "--digest", "0" * 64, CLAUDECODE="1")
    helper = at_a_terminal(repository, "approve", job, launch=BACKGROUND)
    assert helper.end() == 2, helper.seen
    for done, told in (
        (piped.stderr, "there is no terminal"),
        (agents.stderr, "shell of an agent"),
    ):
        assert "error not_allowed" in done
        assert told in done
    assert "Another program has the terminal" in helper.seen
    assert state(repository, job) == "awaiting_approval"


@pytest.mark.slow
def test_a_script_approves_exactly_the_digest_that_it_names(repository: Repository) -> None:
    job = waiting(repository)
    listed = json.loads(program(repository, "approvals", "--json").stdout)
    (question,) = listed["waiting"]
    wrong = program(repository, "approve", job, "--digest", question["digest"][:-1])
    assert (wrong.returncode, "nothing_to_approve" in wrong.stderr) == (2, True)
    right = program(repository, "approve", job, "--digest", question["digest"])
    assert right.returncode == 0, right.stderr
    twice = program(repository, "approve", job, "--digest", question["digest"])
    assert (twice.returncode, "nothing_to_approve" in twice.stderr) == (2, True)


@pytest.mark.slow
def test_a_grant_lets_further_jobs_start_until_it_is_revoked(repository: Repository) -> None:
    job = waiting(repository)
    screen = at_a_terminal(repository, "approve", job, "--for", "10", "--up-to", "1")
    screen.until("further jobs like it as said above? [y/N]")
    os.write(screen.master, b"y\n")
    assert screen.end() == 0, screen.seen
    granted = program(repository, "submit", "command", "echo granted")
    assert granted.returncode == 0, granted.stderr
    (grant,) = json.loads(program(repository, "approvals", "--json").stdout)["grants"]
    assert program(repository, "approvals", "--revoke", grant["id"]).returncode == 0
    assert program(repository, "approvals", "--revoke", grant["id"]).returncode == 2
    refused = program(repository, "submit", "command", "echo again")
    assert (refused.returncode, "awaiting_approval" in refused.stdout) == (3, True)


@pytest.mark.slow
def test_a_no_in_the_terminal_ends_the_job(repository: Repository) -> None:
    job = waiting(repository)
    assert program(repository, "deny", job, "--why", "too much").returncode == 0
    shown = program(repository, "attach", job)
    assert shown.returncode == 1
    assert "too much" in shown.stdout
    assert "error nothing_to_approve" in program(repository, "deny", job).stderr


def test_a_job_approved_before_a_crash_starts_at_the_next_look(repository: Repository) -> None:
    job = waiting(repository)
    approvals = SqliteApprovals(f"{repository.env['MCP_CLOUD_AGENTS_STATE_DIR']}/approvals.sqlite")
    now = time.time()
    question = approvals.get(JobId(job), now=now)
    assert question is not None
    approvals.answer(JobId(job), question.digest, Answer.APPROVED, by="a", why="", now=now)
    done = program(repository, "attach", job)
    assert (done.returncode, "exit code 0" in done.stdout) == (0, True), done.stderr


def _first_call(wire: Wire, params: dict[str, Any]) -> dict[str, Any]:
    number = wire.send("tools/call", {**params, "_meta": CAN_ASK if wire.modern else {}})
    return wire.answer(number)["result"]


def test_over_the_wire_a_modern_client_answers_in_a_second_call(connect: Connect) -> None:
    wire = connect("modern")
    params: dict[str, Any] = {"name": "run_in_sandbox", "arguments": {"command": "echo hello"}}
    asked = _first_call(wire, params)
    assert asked["resultType"] == "input_required"
    (form,) = asked["inputRequests"].values()
    assert form["method"] == "elicitation/create"
    assert form["params"]["requestedSchema"]["required"] == ["approve"]
    yes = {
        name: {"action": "accept", "content": {"approve": True}} for name in asked["inputRequests"]
    }
    again = {**params, "requestState": asked["requestState"], "inputResponses": yes}
    answer = _first_call(wire, again)["structuredContent"]
    assert wire.finished(answer["job_id"])["exit_code"] == 0


def test_a_client_that_cannot_ask_is_told_what_the_person_runs(wire: Wire) -> None:
    answer = wire.call("run_in_sandbox", {"command": "echo hello", "wait_s": 50})
    assert answer["state"] == "awaiting_approval"
    assert f"mcp-cloud-agents approve {answer['job_id']}" in answer["next"]
