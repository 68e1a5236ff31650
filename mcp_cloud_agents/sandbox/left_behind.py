"""Half-made sandboxes of supervisors that were killed while bubblewrap started; ended by the next.

For some microseconds, the kill of bubblewrap leaves its child waiting for it for ever. No command
runs in there, it only takes room; where there are control groups, these find it, too.
"""

from __future__ import annotations

import contextlib
import os
import signal

from mcp_cloud_agents.sandbox.bubblewrap_args import GATE
from mcp_cloud_agents.sandbox.processes import parent

_MARK = os.fsencode(GATE)


def end_left_behind() -> None:
    """End every first process of a sandbox of ours whose bubblewrap is gone. Linux."""
    for name in os.listdir("/proc"):
        if name.isdigit() and _is_left(int(name)):
            _end(int(name))


def _is_left(pid: int) -> bool:
    """Its bubblewrap has the same command line, and is outside of the pid namespace."""
    if _MARK not in _content(pid, "cmdline"):
        return False
    above = parent(pid)
    return _is_inside(pid) and above is not None and _MARK not in _content(above, "cmdline")


def _is_inside(pid: int) -> bool:
    lines = _content(pid, "status").splitlines()
    return any(line.startswith(b"NSpid:") and len(line.split()) > 2 for line in lines)


def _end(pid: int) -> None:
    with contextlib.suppress(OSError):
        held = os.pidfd_open(pid)
        try:
            if _is_left(pid):  # looked at again while held: the pid may be another's by now
                signal.pidfd_send_signal(held, signal.SIGKILL)
        finally:
            os.close(held)


def _content(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""
