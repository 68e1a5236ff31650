"""A supervisor that is killed while its sandbox starts: no command runs, nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import JOB_UID
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.sandbox.bubblewrap_args import gated
from mcp_cloud_agents.sandbox.left_behind import end_left_behind
from tests.sandbox_box import make_box, readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """A bubblewrap whose command waits at the gate."""

    bubblewrap: subprocess.Popen[bytes]
    first_process: int
    """Descriptor of the sandbox's first process."""


@pytest.fixture
def half() -> Iterator[Half]:
    if not Bubblewrap().probe().works:
        pytest.skip("bubblewrap does not start here")
    reading, writing = os.pipe()
    user = JOB_UID if os.geteuid() == 0 else None
    argv = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/usr", "/usr"]
    argv += ["--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]
    argv += ["--symlink", "usr/lib64", "/lib64", "--dev", "/dev"]
    argv += ["--json-status-fd", str(writing), "--", *gated(["/bin/true"])]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, pass_fds=[writing], cwd="/", user=user, group=user
    )
    os.close(writing)
    with open(reading, "rb") as status:
        held = os.pidfd_open(json.loads(status.readline())["child-pid"])
        yield Half(bubblewrap=process, first_process=held)
        process.kill()
        process.communicate()
    assert readable(held)
    os.close(held)


def test_a_command_whose_gate_closes_never_starts(tmp_path: Path) -> None:
    done = subprocess.run(gated(["/bin/touch", str(tmp_path / "x")]), stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_a_command_whose_gate_opens_reads_nothing_of_it() -> None:
    done = subprocess.run(gated(["/bin/cat"]), input=b"\nmore\n", capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_sandbox_without_its_bubblewrap_is_ended_by_the_next_probe(half: Half) -> None:
    half.bubblewrap.kill()
    half.bubblewrap.wait(30)
    assert not readable(half.first_process, 0)
    assert Bubblewrap().probe().works
    assert readable(half.first_process)


def test_a_sandbox_that_just_starts_is_left_alone(half: Half) -> None:
    end_left_behind()
    assert not readable(half.first_process, 0)
    assert half.bubblewrap.communicate(b"\n", timeout=30) == (None, None)
    assert half.bubblewrap.returncode == 0


def test_a_sandbox_at_work_is_left_alone(open_path: Path) -> None:
    box = make_box(Bubblewrap(), open_path)
    started = box.start(["/bin/sh", "-c", "echo up; exec sleep 600"])
    assert started.line() == "up\n"
    end_left_behind()
    assert not readable(started.confined.fileno(), 0)
    started.close()
