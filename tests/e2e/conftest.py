"""A real repository, a real server over stdio, real jobs: what end-to-end tests start from."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.wire import Connect, Repository, Wire


@pytest.fixture
def repository(open_path: Path) -> Repository:
    """One commit; set-up is declared empty, so that no test needs a package registry."""
    path = open_path / "repository"
    path.mkdir()
    home = open_path / "home"
    home.mkdir()
    env = {
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "MCP_CLOUD_AGENTS_STATE_DIR": str(open_path / "state"),
    }
    made = Repository(path=path, env=env)
    made.git("init", "-q", "-b", "main")
    made.write(".cloud-agents/config.toml", "[setup]\ncommands = []\n")
    made.write(
        "test_it.py",
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_ok(self):\n        pass\n",
    )
    made.git("add", "-A")
    made.git("commit", "-qm", "first")
    return made


@pytest.fixture
def connect(repository: Repository) -> Iterator[Connect]:
    """Starts servers in the repository; `era` is `modern` or `legacy`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(era: str = "modern", **env: str) -> Wire:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_cloud_agents", "serve"],
            cwd=repository.path,
            env={**repository.env, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        wire = Wire(process, modern=era == "modern")
        if era == "legacy":
            hello = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "0"},
            }
            wire.answer(wire.send("initialize", hello))
            wire.notify("notifications/initialized")
        return wire

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture(params=["modern", "legacy"])
def wire(request: pytest.FixtureRequest, connect: Connect) -> Wire:
    """A server in each protocol era."""
    return connect(request.param)
