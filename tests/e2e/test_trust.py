"""`trust` and `untrust` as a person uses them, at a terminal that is really theirs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_cloud_agents.storage.sqlite_trust import SqliteTrust
from tests.e2e.terminal import PROGRAM, Terminal, program
from tests.e2e.wire import Repository

pytestmark = pytest.mark.timeout(180)
TAKE_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def person(repository: Repository, *words: str, typed: bytes = b"") -> Terminal:
    """The program in a terminal that it belongs to; `typed` waits there already."""
    master, slave = pty.openpty()
    if typed:
        os.write(master, typed)
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_THE_TERMINAL, *PROGRAM, *words],
        cwd=repository.path,
        env=repository.env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    return Terminal(process, master)


def answer(repository: Repository, words: bytes, *, typed: bytes = b"") -> tuple[int, str]:
    """Exit code of `trust`, and what was seen, after this answer."""
    at = person(repository, "trust", typed=typed)
    at.until("[y/N]")
    os.write(at.master, words)
    return at.end(), at.seen


def trusted(repository: Repository) -> list[str]:
    """Whose configurations are trusted."""
    state = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])
    return [one.common_dir for one in SqliteTrust(str(state / "trust.sqlite")).everything()]


def test_a_person_sees_the_content_and_trusts_it(repository: Repository) -> None:
    code, seen = answer(repository, b"y\n")
    assert code == 0, seen
    assert ".cloud-agents/config.toml (" in seen
    assert "commands = []" in seen
    (line,) = program(repository, "trust", "--list").stdout.splitlines()
    assert line.endswith(f"\t{repository.path}/.git")
    again = program(repository, "trust")
    assert (again.returncode, again.stderr.startswith("trusted already: ")) == (0, True)


def test_after_a_change_the_difference_is_shown(repository: Repository) -> None:
    answer(repository, b"yes\n")
    repository.write(".cloud-agents/config.toml", "[setup]\ncommands = ['make']\n")
    code, seen = answer(repository, b"n\n")
    assert code == 1
    assert "-commands = []" in seen
    assert "+commands = ['make']" in seen
    assert len(trusted(repository)) == 1


def test_what_was_typed_before_the_question_is_no_answer(repository: Repository) -> None:
    code, seen = answer(repository, b"\n", typed=b"y\ny\n")
    assert code == 1, seen
    assert trusted(repository) == []


def test_trust_and_its_end_are_in_the_audit_also_of_a_repository_that_is_gone(
    repository: Repository,
) -> None:
    answer(repository, b"y\n")
    (repository.path / ".git").rename(repository.path / "away")
    done = program(repository, "untrust", f"{repository.path}/.git")
    assert (done.returncode, done.stderr) == (
        0,
        f"no longer trusted: 1 configuration of {repository.path}/.git\n",
    )
    assert trusted(repository) == []
    folder = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"]) / "audit"
    text = "".join(file.read_text() for file in sorted(folder.glob("*.jsonl")))
    entries = [json.loads(line)["entry"] for line in text.splitlines()]
    assert [entry["action"] for entry in entries] == ["trusted", "untrusted"]
    assert {name for name, _ in entries[0]["details"]} == {"repository", "configuration"}
