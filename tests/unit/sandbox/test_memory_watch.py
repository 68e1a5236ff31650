"""Memory of a process tree, by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.sandbox.memory_watch import MemoryWatch
from mcp_cloud_agents.sandbox.processes import descendants, parent
from mcp_cloud_agents.sandbox.watchdog import Watchdog

MIB = 1 << 20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux's /proc")

Spawn = Callable[[str], int]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Runs Python code that prints one line when it is ready; gives its pid."""
    running: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", f"import os, signal, sys\n{code}\nsignal.pause()"],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    yield start
    for process in running:
        os.killpg(process.pid, 9)
        process.communicate()


def test_a_process_over_the_limit_is_out_of_memory(spawn: Spawn) -> None:
    pid = spawn("held = bytearray(b'x' * (80 << 20)); print('ready', flush=True)")
    watchdog = Watchdog(Limits(memory_mib=60), [])
    assert watchdog.look([pid]) is CauseKind.OOM
    assert watchdog.peak_memory_mib >= 80


def test_a_process_below_the_limit_is_not(spawn: Spawn) -> None:
    pid = spawn("held = bytearray(b'x' * (20 << 20)); print('ready', flush=True)")
    watchdog = Watchdog(Limits(memory_mib=100), [])
    assert watchdog.look([pid]) is None
    assert 20 <= watchdog.peak_memory_mib < 100


def test_pages_shared_by_children_count_once(spawn: Spawn) -> None:
    pid = spawn("""
held = bytearray(b'x' * (60 << 20))
children = [os.fork() or signal.pause() for _ in range(5)]
print('ready', flush=True)
""")
    tree = (pid, *descendants(pid))
    assert len(tree) == 6
    assert not MemoryWatch(200 * MIB, ()).over(tree)


def test_a_memfd_counts_without_being_mapped(spawn: Spawn) -> None:
    watch = MemoryWatch(60 * MIB, ())
    pid = spawn("""
held = os.memfd_create('held')
os.write(held, b'x' * (80 << 20))
print('ready', flush=True)
""")
    assert watch.over([pid])


def test_the_host_s_own_tmpfs_never_counts() -> None:
    watch = MemoryWatch(1 << 40, ("/", "/tmp", "/dev/shm"))
    watch.over([os.getpid()])
    assert watch.peak_bytes < 2_000 * MIB


def test_processes_that_ended_hold_nothing() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    watch = MemoryWatch(1, ("/tmp",))
    assert not watch.over([process.pid])
    assert not watch.over([])


def test_descendants_are_the_whole_tree_without_its_root(spawn: Spawn) -> None:
    pid = spawn("""
if os.fork() == 0:
    if os.fork() == 0:
        print('ready', flush=True)
""")
    tree = descendants(pid)
    assert [parent(one) for one in tree] == [pid, tree[0]]
    assert pid not in tree


def test_there_is_no_parent_of_no_process() -> None:
    assert parent(2**22 + 1) is None
