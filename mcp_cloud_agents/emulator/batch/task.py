"""One task: a real process in a session of its own, its output shipped line by line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from mcp_cloud_agents.emulator.batch.job import now_ms
from mcp_cloud_agents.emulator.batch.world import LogLine
from mcp_cloud_agents.emulator.loop import Loop, Timer

_CHUNK = 65_536
_LAST_CHUNKS = 64  # more than a pipe holds: who still writes is a left-over that will be ended
_LONGEST_LINE = 262_118  # CloudWatch: 262,144 bytes an event, 26 of them its own
_POLL_S = 0.05  # where the system has no pidfd
Ship = Callable[[Sequence[LogLine]], None]


@dataclass(slots=True)
class LogTail:
    """Bytes in, lines out: sent in batches and without empty lines, as awslogs does."""

    loop: Loop
    ship: Ship
    flush_s: float
    partial: bytes = b""
    waiting: list[LogLine] = field(default_factory=list[LogLine])
    timer: Timer | None = None

    def take(self, data: bytes) -> None:
        """More output."""
        *lines, self.partial = (self.partial + data).split(b"\n")
        while len(self.partial) > _LONGEST_LINE:
            lines.append(self.partial[:_LONGEST_LINE])
            self.partial = self.partial[_LONGEST_LINE:]
        self._add(lines)

    def end(self, *, at_once: bool) -> None:
        """No more will come: send what is left, now or when it is due."""
        self._add([self.partial])
        self.partial = b""
        if at_once:
            self._flush()

    def _add(self, lines: Sequence[bytes]) -> None:
        at = now_ms()
        for line in lines:
            text = line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
            if text:
                self.waiting.append((at, text))
        if self.waiting and self.timer is None:
            self.timer = self.loop.later(self.flush_s, self._flush)

    def _flush(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        lines, self.waiting = self.waiting, []
        if lines:
            self.ship(lines)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: argv, its whole environment, its working folder."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: str


class Task:
    """A started process.

    Args:
        ended: called once with the exit code (128 + the signal's number when one ended it), after
            the last output was taken and what was left of the process group was killed.

    Raises:
        OSError: it could not be started.
    """

    def __init__(
        self, loop: Loop, launch: Launch, log: LogTail, ended: Callable[[int], None]
    ) -> None:
        self._loop = loop
        self._log = log
        self._ended = ended
        self._process = subprocess.Popen(
            launch.argv,
            env=launch.environment,
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        self._output: IO[bytes] | None = self._process.stdout
        self._pidfd = _pidfd(self._process.pid)
        self._grace: Timer | None = None
        if self._output is not None:
            os.set_blocking(self._output.fileno(), False)
            loop.watch(self._output.fileno(), self._read)
        if self._pidfd is None:
            loop.later(_POLL_S, self._poll)
        else:
            loop.watch(self._pidfd, self._exited)

    @property
    def pid(self) -> int:
        """Of the process, its group and its session."""
        return self._process.pid

    def interrupt(self, grace_s: float) -> None:
        """SIGTERM to its group, and SIGKILL when it is still there after the grace."""
        self._signal(signal.SIGTERM)
        if self._grace is None:
            self._grace = self._loop.later(grace_s, self.kill)

    def kill(self) -> None:
        """SIGKILL to its group."""
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """SIGKILL to its group, and wait for it: nothing is left for a loop that may end now."""
        self.kill()
        self._exited()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:  # not waited for yet, so the number is still its own
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _read(self) -> None:
        if self._take() == b"":
            self._close_output()

    def _take(self) -> bytes | None:
        data = b"" if self._output is None else self._output.read(_CHUNK)
        if data:
            self._log.take(data)
        return data

    def _poll(self) -> None:
        if self._process.returncode is not None:
            return
        if not _has_ended(self._process.pid):
            self._loop.later(_POLL_S, self._poll)
        else:
            self._exited()

    def _exited(self) -> None:
        self.kill()  # the leader is not reaped yet: its group's number cannot be anybody else's
        code = self._process.wait()
        if self._pidfd is not None:
            self._loop.unwatch(self._pidfd)
            os.close(self._pidfd)
        if self._grace is not None:
            self._grace.cancel()
        for _ in range(_LAST_CHUNKS):
            if not self._take():
                break
        self._close_output()
        self._ended(code if code >= 0 else 128 - code)

    def _close_output(self) -> None:
        if self._output is not None:
            self._loop.unwatch(self._output.fileno())
            self._output.close()
            self._output = None


def _pidfd(pid: int) -> int | None:
    return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
