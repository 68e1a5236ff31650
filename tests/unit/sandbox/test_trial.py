"""A trial runs a real command of a real driver's shape: the soft one, whose commands are groups."""

from __future__ import annotations

import os
import subprocess
import tempfile

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.sandbox.seatbelt import SeatbeltProcess
from mcp_cloud_agents.sandbox.trial import trial


def shell(script: str, output: int) -> SeatbeltProcess:
    """A command that says that it starts, as `SeatbeltProcess` wants it."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        ["/bin/bash", "-c", f"printf . >&{writing}; exec {writing}>&-; {script}"],
        stdout=output,
        stderr=output,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    return SeatbeltProcess(process, reading, tempfile.mkdtemp())


def test_a_trial_tells_the_end_and_the_words() -> None:
    _, code, said = trial(lambda output: shell("printf '  broken: \\377 '; exit 3", output))
    assert (code, said) == (3, "broken: \ufffd")


def test_a_trial_that_says_nothing_has_no_words() -> None:
    _, code, said = trial(lambda output: shell("exit 0", output))
    assert (code, said) == (0, "")


def test_a_sandbox_that_does_not_start_leaves_nothing_open() -> None:
    def start(_: int) -> SeatbeltProcess:
        raise IsolationUnavailable("missing", hint="install it")

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(IsolationUnavailable):
        trial(start)
    assert len(os.listdir("/proc/self/fd")) == before
