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
"""How long output is still read after the command ended, when a child of it holds the pipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a confined command ended."""

    exit_code: int | None
    """128 + n for signal n; None: the command never started."""
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
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        started_at = time.monotonic()
        try:
            confined = sandbox.start(argv, confinement, output=writing)
        finally:
            os.close(writing)
        watchdog = Watchdog(confinement.limits, watch.disk)
        try:
            stopped = _pump(confined, reading, sink=sink, watch=watch, watchdog=watchdog)
        finally:
            confined.kill()
            exit_code = confined.wait()
        return Ran(
            exit_code=exit_code,
            stopped=stopped or (CauseKind.OOM if confined.oom_killed() else None),
            duration_s=time.monotonic() - started_at,
            peak_memory_mib=watchdog.peak_memory_mib,
        )
    finally:
        os.close(reading)


def _pump(
    confined: Confined,
    reading: int,
    *,
    sink: Callable[[bytes], None],
    watch: Watch,
    watchdog: Watchdog,
) -> CauseKind | None:
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(confined.fileno(), select.POLLIN)
    deadline = time.monotonic() + watch.timeout_s
    next_look, ended_at, stopped = time.monotonic(), None, None
    while True:
        for fd, _ in poll.poll(_LOOK_EVERY_S * 1000):
            if fd != reading:
                poll.unregister(fd)
                ended_at = time.monotonic()
            elif data := os.read(reading, _CHUNK):
                sink(data)
            else:
                poll.unregister(reading)
                reading = -1
        now = time.monotonic()
        if ended_at is not None:
            if reading < 0 or now - ended_at > _GRACE_S:
                return stopped
        elif now >= next_look and stopped is None:
            next_look = now + _LOOK_EVERY_S
            watch.tick()
            stopped = _reason_to_stop(confined, watch, watchdog, overdue=now > deadline)
            if stopped is not None:
                confined.kill()


def _reason_to_stop(
    confined: Confined, watch: Watch, watchdog: Watchdog, *, overdue: bool
) -> CauseKind | None:
    if watch.cancelled():
        return CauseKind.CANCELLED
    if overdue:
        return CauseKind.TIMEOUT
    if confined.oom_killed():
        return CauseKind.OOM
    return watchdog.look(confined.pids())
