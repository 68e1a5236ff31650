"""Running one confined command: its output into a sink, its limits watched, its end explained."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.sandbox.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Confinement
    from mcp_cloud_agents.ports.sandbox import Confined, Sandbox

_CHUNK = 65_536
_LOOK_EVERY_S = 0.05
_GRACE_S = 1.0
"""How long output is still read after the command ended, when a child of it holds the pipe; and
how long a cancelled job may take to keep what it left."""
_END_S = 30.0
"""How long a killed command may take to end; only one stuck in the kernel takes longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a confined command ended."""

    exit_code: int | None
    """128 + n for signal n; None: the command never started, or its sandbox died."""
    died: bool = False
    """Whether the sandbox was killed from outside while the command ran."""
    stopped: CauseKind | None
    """TIMEOUT, OOM, DISK or CANCELLED when a limit or a person ended it; None: it ended by itself.
    """
    duration_s: float
    peak_memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What to look at while a command runs."""

    timeout_s: float
    disk: tuple[str, ...] = ()
    """Host folders whose growth counts against the disk limit."""
    cancelled: Callable[[], bool] = lambda: False
    tick: Callable[[], None] = lambda: None
    """Called about every 50 ms, for heartbeat and progress."""


class Grace:
    """Passes a cancel on a second after it was first seen.

    What a job left can so be kept when that is quickly done, and a cancel still ends it soon.
    """

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._seen_at: float | None = None

    def __call__(self) -> bool:
        """Whether the job was cancelled a second ago or more."""
        if self._seen_at is None:
            self._seen_at = time.monotonic() if self._cancelled() else None
        return self._seen_at is not None and time.monotonic() - self._seen_at > _GRACE_S


def run(
    sandbox: Sandbox,
    argv: Sequence[str],
    confinement: Confinement,
    *,
    sink: Callable[[bytes], None],
    watch: Watch,
) -> Ran:
    """Run `argv` to its end, or end it: one thread, no wait without a deadline.

    Raises:
        IsolationUnavailable: the sandbox's program is missing.
    """
    reading, writing = os.pipe()
    try:
        started_at = time.monotonic()
        try:
            watchdog = Watchdog(confinement.limits, watch.disk)
            confined = sandbox.start(argv, confinement, output=writing)
        finally:
            os.close(writing)
        try:
            stopped = _Pump(confined, reading, sink, watch).until_end(watchdog)
        finally:
            confined.kill()
            exit_code = confined.wait()
        return Ran(
            exit_code=exit_code,
            died=exit_code is None and stopped is None and confined.died(),
            stopped=stopped or (CauseKind.OOM if confined.oom_killed() else None),
            duration_s=time.monotonic() - started_at,
            peak_memory_mib=watchdog.peak_memory_mib,
        )
    finally:
        os.close(reading)


class _Pump:
    """Moves the output and looks at the command until both have ended.

    Output never keeps it from looking: one chunk at a time, and a deadline for everything else.
    """

    def __init__(
        self, confined: Confined, reading: int, sink: Callable[[bytes], None], watch: Watch
    ) -> None:
        self._confined = confined
        self._reading = reading
        self._sink = sink
        self._watch = watch
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)
        self._poll.register(confined.fileno(), select.POLLIN)
        self._drained = False
        self._ended_at: float | None = None
        self._killed_at: float | None = None

    def until_end(self, watchdog: Watchdog) -> CauseKind | None:
        """Returns why the command was killed; None when it was not."""
        deadline = time.monotonic() + self._watch.timeout_s
        next_look, reason = 0.0, None
        while not self._over():
            self._move()
            now = time.monotonic()
            if now < next_look or self._ended_at is not None or self._killed_at is not None:
                continue
            next_look = now + _LOOK_EVERY_S
            self._watch.tick()
            reason = self._reason_to_kill(watchdog, overdue=now > deadline)
            if reason is not None:
                self._confined.kill()
                self._killed_at = now
        return reason

    def _over(self) -> bool:
        now = time.monotonic()
        if self._ended_at is not None:
            return self._drained or now - self._ended_at > _GRACE_S
        return self._killed_at is not None and now - self._killed_at > _END_S

    def _move(self) -> None:
        for fd, _ in self._poll.poll(_LOOK_EVERY_S * 1000):
            if fd != self._reading:
                self._poll.unregister(fd)
                self._ended_at = time.monotonic()
            elif data := os.read(fd, _CHUNK):
                self._sink(data)
            else:  # the command may close its output long before its end
                self._poll.unregister(fd)
                self._drained = True

    def _reason_to_kill(self, watchdog: Watchdog, *, overdue: bool) -> CauseKind | None:
        if self._watch.cancelled():
            return CauseKind.CANCELLED
        if overdue:
            return CauseKind.TIMEOUT
        if self._confined.oom_killed():
            return CauseKind.OOM
        return watchdog.look(self._confined.pids())
