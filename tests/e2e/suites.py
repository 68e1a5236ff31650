"""Repositories with a suite that has everything in it, and what a server answers about them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

import pytest

from mcp_cloud_agents.sandbox.bubblewrap_args import CERTIFICATES
from tests.e2e.wire import Repository, Wire

UNREACHABLE = "192.0.2.1"
"""Reserved for documentation (RFC 5737): whoever gets an answer has a network."""
HOSTILE = r"\x1b[31mred\x1b[0m \x00 \x07 \u202e end"
"""Control characters as most languages write them; rendered they are all gone."""

_TOOLS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
TRUST = dict.fromkeys(_TOOLS, CERTIFICATES) if os.path.exists(CERTIFICATES) else {}
"""Makes tools that a test itself calls trust what the system trusts."""


@dataclass(frozen=True)
class Told:
    """One failing test of an answer."""

    id: str
    at: str
    kind: str
    message: str


def fill(repository: Repository, files: dict[str, str], dirty: dict[str, str]) -> None:
    """Commit `files` alone, in a tree whose set-up is detected; leave `dirty` uncommitted."""
    shutil.rmtree(repository.path / ".cloud-agents")
    (repository.path / "test_it.py").unlink()
    for name, text in files.items():
        repository.write(name, text)
    repository.git("add", "-A")
    repository.git("commit", "-qm", "the suite")
    for name, text in dirty.items():
        repository.write(name, text)


def run_tests(wire: Wire, **arguments: Any) -> dict[str, Any]:
    """The envelope of a finished run."""
    answer = wire.call("run_tests_cloud", arguments)
    while "done" in answer and not answer["done"]:
        answer = wire.call("wait_job", {"job_id": answer["job_id"], "timeout_s": 50})
    return answer


def counts(answer: dict[str, Any]) -> dict[str, int]:
    """Those that are not zero."""
    assert answer.get("tests"), answer
    return {name: count for name, count in answer["tests"]["counts"].items() if count}


def failures(answer: dict[str, Any]) -> list[Told]:
    """All failing tests, by id; none may show more than 20 lines, or a control character."""
    told: list[Told] = []
    for one in answer["tests"]["failures"]:
        assert len(one["excerpt"]) <= 20
        shown = [one["message"], *one["excerpt"]]
        assert all(char.isprintable() or char in "\t\n" for line in shown for char in line)
        told.append(Told(one["id"], one["at"], one["kind"], one["message"].split("\n")[0]))
    return sorted(told, key=lambda one: one.id)


def artifacts(answer: dict[str, Any]) -> list[str]:
    """Their names."""
    return [artifact["name"] for artifact in answer["artifacts"]]


def junit(wire: Wire, answer: dict[str, Any]) -> str:
    """The JUnit artifact, as a client reads it."""
    found = wire.call("get_artifact", {"job_id": answer["job_id"], "name": "junit.xml"})
    return found["content"]


def program(name: str) -> str:
    """Where it is installed for everybody; the test is skipped on a machine that lacks it."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{name} is not installed where jobs can reach it")
    return os.path.realpath(found)
