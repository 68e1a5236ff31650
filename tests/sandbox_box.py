"""A workspace and a sandbox to run things in, for the contract and the attacks."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import JOB_UID, Bind, Confinement, Limits
from mcp_cloud_agents.ports.sandbox import Confined, Sandbox
from mcp_cloud_agents.worker.run import Watch, run

PYTHON = "/usr/bin/python3"
SMALL = Limits(memory_mib=256, processes=64, disk_mib=64, tmp_mib=16, open_files=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    exit_code: int | None
    output: str
    stopped: CauseKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running command and the reading end of its output."""

    confined: Confined
    reading: int

    def line(self) -> str:
        """The next line of output; fails when there is none within 10 s."""
        said = b""
        while not said.endswith(b"\n"):
            assert readable(self.reading), f"no output after {said!r}"
            data = os.read(self.reading, 1)
            assert data, f"the output ended after {said!r}"
            said += data
        return said.decode()

    def close(self) -> bytes:
        """End it, and give what was left of the output, up to its end."""
        self.confined.kill()
        self.confined.wait()
        rest = b""
        while readable(self.reading):
            data = os.read(self.reading, 65_536)
            if not data:
                os.close(self.reading)
                return rest
            rest += data
        raise AssertionError("somebody still holds the output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A sandbox with a writable workspace."""

    sandbox: Sandbox
    workspace: Path

    def confinement(self, **changes: object) -> Confinement:
        """What commands run under; arguments replace fields."""
        bind = Bind(host=str(self.workspace), inside="/workspace", writable=True)
        return replace(Confinement(binds=(bind,), limits=SMALL), **changes)

    def run(self, *argv: str, timeout_s: float = 60, **changes: object) -> Ended:
        """Run a command to its end, watched as jobs are."""
        said = bytearray()
        ran = run(
            self.sandbox,
            argv,
            self.confinement(**changes),
            sink=said.extend,
            watch=Watch(timeout_s=timeout_s, disk=(str(self.workspace),)),
        )
        output = said.decode("utf-8", "replace")
        return Ended(exit_code=ran.exit_code, output=output, stopped=ran.stopped)

    def python(self, code: str, *args: str, timeout_s: float = 60, **changes: object) -> Ended:
        """Run Python code, isolated from the workspace's modules."""
        return self.run(PYTHON, "-I", "-c", code, *args, timeout_s=timeout_s, **changes)

    def start(self, argv: Sequence[str], **changes: object) -> Started:
        """Start a command and leave it running."""
        reading, writing = os.pipe()
        try:
            confined = self.sandbox.start(argv, self.confinement(**changes), output=writing)
        finally:
            os.close(writing)
        return Started(confined=confined, reading=reading)


def own(path: Path) -> Path:
    """Give a path to the user that commands run as; an ordinary user needs no such thing."""
    if os.geteuid() == 0:
        os.chown(path, JOB_UID, JOB_UID)
    return path


def make_box(sandbox: Sandbox, folder: Path) -> Box:
    """A box with a fresh workspace below `folder`."""
    workspace = folder / "workspace"
    workspace.mkdir(mode=0o755)
    return Box(sandbox=sandbox, workspace=own(workspace))


def readable(fd: int, timeout_s: float = 10) -> bool:
    """Whether a descriptor has something to read, or is at its end, within the time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
