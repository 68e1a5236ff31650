"""A server in memory over a real runner: one state folder for all these tests, a server for each.

Jobs cannot run for long here, whatever a test asks for: they get two seconds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.settings import load
from tests.e2e.wire import Repository, a_repository

Mode = Literal["auto", "legacy"]
COMMAND = """\
printf 'one\\ntwo \\033[31mred\\033[0m\\nthree\\n'; printf '\\000\\377' > new.bin
printf 'print("changed")\\n' > script.py"""
TESTS = """\
import unittest


class T(unittest.TestCase):
    def test_good(self):
        pass

    def test_bad(self):
        self.assertEqual(1, 2, "one is not two")
"""


@dataclass(frozen=True, slots=True)
class House:
    """A repository, a state folder, and servers over both."""

    repository: Repository

    def client(self, mode: Mode) -> Client:
        """A client of a fresh server; objects of the runner belong to one event loop."""
        where = str(self.repository.path)
        settings = load(self.repository.env, cwd=where)
        server = build_server(Front(where, partial(runner_for, settings)))
        return Client(server, mode=mode, read_timeout_seconds=60)

    async def submit(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The envelope of a job that has ended."""
        async with self.client("auto") as client:
            answer = await client.call_tool(tool, {"wait_s": 50, **arguments})
        assert answer.structured_content is not None
        return answer.structured_content


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    scratch = Path(tempfile.mkdtemp(prefix="mca-server-")).resolve()
    scratch.chmod(0o711)
    repository = a_repository(scratch)
    repository.env["MCP_CLOUD_AGENTS_LIMITS_TIMEOUT_MINUTES"] = "0.04"
    repository.write("test_it.py", TESTS)
    yield House(repository)
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """2026-07-28 and 2025-11-25."""
    return request.param


@pytest.fixture(scope="session")
def ran(house: House) -> dict[str, Any]:
    """A command that printed three lines and changed the tree."""
    return anyio.run(house.submit, "run_in_sandbox", {"command": COMMAND})


@pytest.fixture(scope="session")
def tested(house: House) -> dict[str, Any]:
    """A suite with one failing test."""
    return anyio.run(house.submit, "run_tests_cloud", {"command": "python3 -m unittest"})
