"""Candidates' processes, as the worker sees them: started, listened to, ended in time.

One thread, no wait without a deadline: `attend` is called at least every 50 ms, also while the
worker itself runs something, and whoever is over its time then is ended, with all it runs.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

import msgspec

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.domain.fix import Spent, StopReason
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.sandbox.processes import descendants
from mcp_cloud_agents.storage.files import read_whole
from mcp_cloud_agents.worker.fix.engine import Ended
from mcp_cloud_agents.worker.fix.order import ENDED, SPENT, CandidateOrder

_PROGRAM = (sys.executable, "-I", "-m", "mcp_cloud_agents.worker.fix.candidate")
_ERRORS = "candidate.log"
_CHUNK = 65_536
_MOST_CHUNKS = 32
"""Of one candidate at a time: however much it says, the others are looked at."""
_LOOK_MS = 50
_LATE_S = 1.0
"""A candidate sees its own deadline; only one that does not is ended from here."""
_ORDER_S = 30.0
_GRACE_S = 5.0
"""How long a candidate may take to put its sandbox away, where that is needed."""
_REAP_S = 30.0
_MESSAGE_CHARS = 500
_ERROR_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One candidate's process.

    Attributes:
        order: what it was told.
        process: the process.
        reading: its stdout; at its end, the process has ended.
        began_at: by the monotonic clock.
        stopped: why it was ended from here.
        asked_at: when it was asked to end.
        commands: descriptors of what ran for it then, which ends a moment after it.
        over: whether it has ended and was reaped.
    """

    order: CandidateOrder
    process: subprocess.Popen[bytes]
    reading: int
    began_at: float
    stopped: StopReason | None = None
    asked_at: float | None = None
    commands: tuple[int, ...] = ()
    over: bool = False
    duration_s: float = 0.0

    @property
    def folder(self) -> str:
        """Host folder of ours with all it left."""
        return self.order.places.job

    def spent(self) -> Spent:
        """What it has spent so far; nothing where it never began to spend."""
        data = read_whole(os.path.join(self.folder, SPENT))
        if data is None:
            return Spent()
        try:
            return msgspec.json.decode(data, type=Spent)
        except msgspec.MsgspecError:  # nobody knows any more: as much as it could
            return Spent(usd_micros=self.order.budget.usd_micros)

    def ended(self) -> Ended:
        """How it ended: by its own word, by ours, or without one."""
        if self.stopped is not None:
            return Ended(reason=self.stopped)
        data = read_whole(os.path.join(self.folder, ENDED))
        if data is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                return msgspec.json.decode(data, type=Ended)
        said = read_whole(os.path.join(self.folder, _ERRORS), limit=_ERROR_BYTES) or b""
        last = render(said).strip().splitlines()[-1:] or ["it said nothing"]
        code = self.process.returncode
        message = f"Its process ended with {code}: {last[0]}"[:_MESSAGE_CHARS]
        return Ended(reason=StopReason.DIED, message=message)


@dataclass(slots=True, kw_only=True)
class Candidates:
    """All that run.

    Attributes:
        gently: whether a candidate must be asked to end before it is killed: its sandbox has to
            be put away, else nothing else can run.
        log: where their lines go.
    """

    gently: bool
    log: Callable[[bytes], None]
    running: list[Candidate] = field(default_factory=list[Candidate])

    def start(self, order: CandidateOrder, restore: Callable[[], None]) -> Candidate:
        """Start one; `restore` makes its workspace while its process starts.

        Raises:
            BackendFailed: its process cannot be started.
        """
        errors = os.open(os.path.join(order.places.job, _ERRORS), _CREATE, 0o600)
        try:
            process = subprocess.Popen(
                _PROGRAM,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                start_new_session=True,
            )
        except OSError as exc:
            why = f"The candidate's process cannot be started: {exc.strerror}."
            raise BackendFailed(why, hint="Look at this machine's limits.") from exc
        finally:
            os.close(errors)
        candidate = Candidate(
            order=order,
            process=process,
            reading=_taken(process.stdout),
            began_at=time.monotonic(),
        )
        self.running.append(candidate)
        restore()
        _send(_taken(process.stdin), msgspec.json.encode(order))
        return candidate

    def attend(self) -> None:
        """Take what they say, and end those whose time is up. Called often, never waits."""
        for candidate in self.running:
            self._listen(candidate)
            if candidate.over:
                continue
            now = time.monotonic()
            if now > candidate.order.deadline + _LATE_S:
                self.stop(candidate, StopReason.WALL_CLOCK)
            if candidate.asked_at is not None and now - candidate.asked_at > _GRACE_S:
                candidate.process.kill()

    def wait(self) -> None:
        """Wait until one says something or ends, 50 ms at most."""
        poll = select.poll()
        for candidate in self.running:
            if not candidate.over:
                poll.register(candidate.reading, select.POLLIN)
        poll.poll(_LOOK_MS)
        self.attend()

    def take_ended(self) -> list[Candidate]:
        """Those that have ended since the last call."""
        ended = [candidate for candidate in self.running if candidate.over]
        self.running = [candidate for candidate in self.running if not candidate.over]
        return ended

    def stop(self, candidate: Candidate, reason: StopReason) -> None:
        """End one with all it runs; it is over a moment later. The first reason counts."""
        if candidate.over or candidate.stopped is not None:
            return
        candidate.stopped = reason
        candidate.asked_at = time.monotonic()
        candidate.commands = _held(candidate.process.pid)
        if self.gently:
            candidate.process.terminate()
        else:
            candidate.process.kill()

    def stop_all(self, reason: StopReason) -> list[Candidate]:
        """End all, and wait for that; they are taken."""
        for candidate in self.running:
            self.stop(candidate, reason)
        deadline = time.monotonic() + _REAP_S
        while any(not candidate.over for candidate in self.running):
            self.wait()
            if time.monotonic() > deadline:
                break
        return self.take_ended()

    def close(self) -> None:
        """Whatever happened: nothing of them is left."""
        self.stop_all(StopReason.CANCELLED)

    def _listen(self, candidate: Candidate) -> None:
        for _ in range(_MOST_CHUNKS):
            if candidate.over:
                return
            try:
                data = os.read(candidate.reading, _CHUNK)
            except BlockingIOError:
                return
            if data:
                self.log(data)
            else:
                self._reap(candidate)

    def _reap(self, candidate: Candidate) -> None:
        """Its stdout is at its end: it has ended, or closed it, which is the same to us."""
        os.close(candidate.reading)
        try:
            candidate.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            candidate.process.kill()
            candidate.process.wait()
        _wait_for(candidate.commands)
        candidate.over = True
        candidate.duration_s = round(time.monotonic() - candidate.began_at, 3)


_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def _taken(pipe: IO[bytes] | None) -> int:
    """Our own, non-blocking descriptor of a pipe that Popen made."""
    assert pipe is not None  # noqa: S101  it was asked for
    fd = os.dup(pipe.fileno())
    pipe.close()
    os.set_blocking(fd, False)
    return fd


def _held(pid: int) -> tuple[int, ...]:
    """A descriptor for each process below this one."""
    held = list[int]()
    for one in descendants(pid) if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            held.append(os.pidfd_open(one))
    return tuple(held)


def _wait_for(ends: tuple[int, ...]) -> None:
    """Wait until they have ended: nobody may write to a workspace that is collected."""
    deadline = time.monotonic() + _GRACE_S
    for end in ends:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(end)


def _send(fd: int, data: bytes) -> None:
    """Write the order, and close the pipe. A candidate that does not take it has died."""
    view, deadline = memoryview(data), time.monotonic() + _ORDER_S
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        while view and time.monotonic() < deadline:
            if poll.poll(_LOOK_MS):
                view = view[os.write(fd, view) :]
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)
