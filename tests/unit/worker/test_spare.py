"""The waiting worker by itself: how it ends."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

WAIT = """
import sys
from mcp_cloud_agents.worker import spare
spare._IDLE_MS = int(sys.argv[2])
spare.wait_for_order(int(sys.argv[1]), None)
print("it was given a job")
"""


@pytest.mark.parametrize(("idle_ms", "held_open"), [(1, True), (300_000, False)])
def test_it_ends_when_nothing_comes_for_long_or_the_server_is_gone(
    idle_ms: int, held_open: bool
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, str(theirs.fileno()), str(idle_ms)],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
        )
        theirs.close()
        if not held_open:
            ours.close()
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")
