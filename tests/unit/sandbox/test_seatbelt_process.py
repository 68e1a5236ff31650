"""The macOS driver's processes, without the profile: this half runs on any system."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import Confinement, Limits
from mcp_cloud_agents.sandbox.seatbelt import SeatbeltProcess, command_line
from tests.sandbox_box import readable

Start = Callable[..., SeatbeltProcess]
BEHIND_THE_PROFILE = 3
"""Words of the command line that only macOS has."""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start_script(script: str, output: int = 2) -> SeatbeltProcess:
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        told, writing = os.pipe()
        confinement = Confinement(binds=(), limits=Limits())
        words = command_line(["/bin/sh", "-c", script], confinement, temporary="/t", told=writing)
        words = ["/bin/bash", *words[BEHIND_THE_PROFILE + 1 :]]  # macOS's sh is bash
        process = subprocess.Popen(words, stdout=output, pass_fds=[writing], start_new_session=True)
        os.close(writing)
        return SeatbeltProcess(process, told, str(temporary))

    return start_script


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_code_is_told_again_and_again(start: Start, script: str, code: int) -> None:
    process = start(script)
    assert readable(process.fileno())
    assert [process.wait(), process.wait()] == [code, code]
    process.kill()
    assert process.pids() == ()


def test_a_command_that_never_started_has_no_exit_code(tmp_path: Path) -> None:
    told, writing = os.pipe()
    os.close(writing)
    failed = subprocess.Popen(["/bin/false"], start_new_session=True)
    assert SeatbeltProcess(failed, told, str(tmp_path)).wait() is None


def test_kill_ends_the_whole_process_group(start: Start) -> None:
    reading, writing = os.pipe()
    process = start("sleep 600 & sleep 600 & echo up; wait", writing)
    os.close(writing)
    assert os.read(reading, 3) == b"up\n"
    assert process.pids() != ()
    process.kill()
    assert process.wait() == 128 + signal.SIGKILL
    assert readable(reading)
    assert os.read(reading, 1) == b""  # at its end: nobody holds it any more
    os.close(reading)


def test_what_the_command_leaves_in_its_group_ends_with_it(start: Start, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = start("sleep 600 & exit 0", writing)
    os.close(writing)
    assert process.wait() == 0
    assert readable(reading)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert not (tmp_path / "temporary").exists()
