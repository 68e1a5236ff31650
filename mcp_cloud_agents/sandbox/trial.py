"""Whether a sandbox works here is found out by starting a command in it: its end, its words."""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.sandbox import Confinement, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.ports.sandbox import Confined

C = TypeVar("C", bound="Confined")
TRIAL_S = 20.0
NOTHING = Confinement(binds=(), limits=Limits(), cwd="/")
"""What the command of a trial needs to see."""
_SAID_BYTES = 4_096


def trial(start: Callable[[int], C]) -> tuple[C, int | None, str]:
    """Start a command and see it end, by force after twenty seconds.

    Args:
        start: starts it with the descriptor of its output.

    Returns:
        The command as it was started, its exit code (see `Confined.wait`), and the first of what
        it or its sandbox said.

    Raises:
        IsolationUnavailable: from `start`.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        try:
            process = start(writing)
        finally:
            os.close(writing)
        poll = select.poll()
        poll.register(process.fileno(), select.POLLIN)
        if not poll.poll(TRIAL_S * 1000):
            process.kill()
        code, said = process.wait(), b""
        with contextlib.suppress(BlockingIOError):
            said = os.read(reading, _SAID_BYTES)
        return process, code, said.decode("utf-8", "replace").strip()
    finally:
        os.close(reading)
