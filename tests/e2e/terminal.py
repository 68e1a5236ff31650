"""The real program as its user starts it: in a pipe, or in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.wire import DEADLINE_S, Repository

PROGRAM = (sys.executable, "-m", "mcp_cloud_agents")


def program(
    repository: Repository, *words: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, without a terminal."""
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=cwd or repository.path,
        env={**repository.env, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@dataclass
class Terminal:
    """The program in a terminal of its own."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""

    def until(self, text: str) -> None:
        """Read until the text was shown."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            assert self._read(), f"it ended before {text!r}: {self.seen}"

    def interrupt(self) -> None:
        """Ctrl-C: the signal goes to the whole group in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait(DEADLINE_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], DEADLINE_S)
        assert ready, f"nothing more came: {self.seen}"
        try:
            data = os.read(self.master, 65_536)
        except OSError:  # Linux: EIO when the other side is closed
            return False
        self.seen += data.decode()
        return bool(data)


def terminal(repository: Repository, *words: str, env: dict[str, str] | None = None) -> Terminal:
    """Start the program in a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=repository.path,
        env={**repository.env, "TERM": "xterm-256color", **(env or {})},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    return Terminal(process, master)
