"""A repository of a test, and a server spoken to frame by frame."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEADLINE_S = 60.0


@dataclass
class Repository:
    """A git worktree for a test."""

    path: Path
    env: dict[str, str]

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@invalid", *words],
            cwd=self.path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def write(self, name: str, text: str) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def a_repository(scratch: Path) -> Repository:
    """One commit; set-up is declared empty, so that no test needs a package registry."""
    path, home = scratch / "repository", scratch / "home"
    path.mkdir()
    home.mkdir()
    env = {
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "MCP_CLOUD_AGENTS_STATE_DIR": str(scratch / "state"),
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


@dataclass
class Wire:
    """A server process spoken to frame by frame."""

    process: subprocess.Popen[bytes]
    modern: bool
    _next: int = 0
    _buffer: bytes = b""
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._next += 1
        body: dict[str, Any] = dict(params or {})
        if self.modern:
            body["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                **body.get("_meta", {}),
            }
        self._write({"jsonrpc": "2.0", "id": self._next, "method": method, "params": body})
        return self._next

    def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def _write(self, frame: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(frame).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, number: int) -> dict[str, Any]:
        """The frame with this id; others are kept in `seen`."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            frame = self.frame(deadline)
            if frame.get("id") == number:
                return frame
            self.seen.append(frame)
        raise AssertionError(f"no answer to {number}")

    def frame(self, deadline: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the server said nothing in time"
            data = os.read(fd, 65_536)
            assert data, "the server closed its stdout"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def call(
        self, tool: str, arguments: dict[str, Any] | None = None, **meta: str
    ) -> dict[str, Any]:
        """Call a tool; its structured answer."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
        if meta:
            params["_meta"] = dict(meta)
        frame = self.answer(self.send("tools/call", params))
        return frame["result"]["structuredContent"]

    def say_goodbye(self) -> None:
        """Close the server's stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def finished(self, job_id: str) -> dict[str, Any]:
        """The envelope of the job once it is done."""
        answer = self.call("wait_job", {"job_id": job_id, "timeout_s": 50})
        assert answer["done"], answer
        return answer


Connect = Callable[..., Wire]
