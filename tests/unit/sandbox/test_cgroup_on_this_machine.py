"""Control groups as the kernel of this machine has them; skipped where none can be made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Enforcement, Limits
from mcp_cloud_agents.sandbox import cgroup
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.sandbox.cgroup import Cgroup, Part
from tests.sandbox_box import SMALL, make_box, readable

UNIFIED = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
"""Where version 2 is, beside version 1 and alone."""


def limiting_part(limits: Limits = SMALL) -> Part:
    group = cgroup.make(limits)
    if group is None:
        pytest.skip("no group with limits can be made here")
    group.remove()
    return cgroup.plan(Path("/proc/self/cgroup").read_text(), limits)[0]


def version_2_part() -> Part:
    """Without a limit: the controllers may belong to version 1."""
    for mount in UNIFIED:
        if os.path.exists(f"{mount}/cgroup.stat") and os.access(mount, os.W_OK):
            return Part(parent=mount, settings=(("cgroup.max.depth", "7"),))
    pytest.skip("no group of version 2 can be made here")


MakePart = Callable[[], Part]
PARTS = pytest.mark.parametrize("make_part", [limiting_part, version_2_part])


def groups(part: Part, owner: int | None = None) -> set[str]:
    """The groups of one process, this one if none is named: others run tests as well."""
    mark = f"mca-{owner or os.getpid()}-"
    return {name for name in os.listdir(part.parent) if name.startswith(mark)}


def start(argv: Sequence[str], group: Cgroup) -> subprocess.Popen[bytes]:
    return subprocess.Popen(group.joining(argv), stdout=subprocess.PIPE)


@PARTS
def test_a_command_is_in_its_group_before_its_first_step(make_part: MakePart) -> None:
    part = make_part()
    group = Cgroup()
    group.add(part)
    (name,) = groups(part)
    with start(["/bin/sh", "-c", "cat /proc/$$/cgroup /proc/self/cgroup"], group) as process:
        assert process.stdout is not None
        lines = process.stdout.read().decode().splitlines()
    assert sum(line.endswith(f"/{name}") for line in lines) == 2
    group.remove()
    assert groups(part) == set()


@PARTS
def test_a_group_that_was_left_is_swept_with_what_lives_in_it(make_part: MakePart) -> None:
    part = make_part()
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from mcp_cloud_agents.sandbox.cgroup import Cgroup, Part
import subprocess
group = Cgroup()
group.add({part!r})
command = group.joining(["/bin/sh", "-c", "echo up; exec sleep 600"])
left = subprocess.Popen(command, stdout=subprocess.PIPE)
left.stdout.readline()
print(left.pid, flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        held = os.pidfd_open(int(owner.stdout.readline()))
        owner.stdin.close()
        assert owner.wait(30) == -signal.SIGKILL
    for _ in range(100):  # the first ends what lives there, a later one finds it empty
        group = Cgroup()
        group.add(part)
        group.remove()
        assert readable(held)
        if not groups(part, owner.pid):
            break
    os.close(held)
    assert groups(part, owner.pid) == set()


@PARTS
def test_a_group_whose_owner_lives_is_never_swept(make_part: MakePart) -> None:
    part = make_part()
    mine, other = Cgroup(), Cgroup()
    mine.add(part)
    with start(["/bin/sh", "-c", "echo up; exec sleep 600"], mine) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        other.add(part)
        assert len(groups(part)) == 2
        other.remove()
        assert process.poll() is None
        process.kill()
    mine.remove()
    assert groups(part) == set()


def test_a_group_whose_limit_is_not_taken_is_no_group() -> None:
    part = limiting_part()
    group = Cgroup()
    with pytest.raises((OSError, ValueError)):
        group.add(Part(parent=part.parent, settings=(("memory.no_such_limit", "1"),)))
    group.remove()
    assert groups(part) == set()


def test_the_probe_says_hard_where_the_group_holds_and_polled_elsewhere() -> None:
    limiting_part()
    said = [dict(Bubblewrap(groups=wanted).probe().limits)["memory"] for wanted in (True, False)]
    assert said == [Enforcement.HARD, Enforcement.POLLED]


def test_a_command_never_runs_with_less_than_the_probe_said(open_path: Path) -> None:
    limiting_part()
    sandbox = Bubblewrap()
    assert sandbox.probe().works
    beyond_the_kernel = Limits(memory_mib=1 << 50)
    with pytest.raises(IsolationUnavailable, match="control group"):
        make_box(sandbox, open_path).run("/bin/true", limits=beyond_the_kernel)


def test_no_group_is_left_after_a_command(open_path: Path) -> None:
    part = limiting_part()
    box = make_box(Bubblewrap(), open_path)
    before = groups(part)
    for script in ("exit 3", "kill -9 $$", "setsid sleep 600 &"):
        box.run("/bin/sh", "-c", script)
        assert groups(part) == before


def test_the_kernel_s_kill_for_memory_is_told_with_the_exit_code(open_path: Path) -> None:
    limiting_part()
    box = make_box(Bubblewrap(), open_path)
    started = box.start(["/usr/bin/python3", "-c", "b = b'x' * (1 << 30); input()"])
    assert readable(started.confined.fileno())
    assert started.confined.wait() == 128 + signal.SIGKILL
    assert started.confined.oom_killed()
    started.close()
