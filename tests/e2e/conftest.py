"""A real repository, a real server over stdio, real jobs: what end-to-end tests start from."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.wire import Connect, Repository, Wire, a_repository


@pytest.fixture
def repository(open_path: Path) -> Repository:
    return a_repository(open_path)


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
