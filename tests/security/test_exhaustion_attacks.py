"""Commands that take all there is: processes, memory, disk, files, output, time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Network
from tests.sandbox_box import PYTHON, SMALL, Box, Ended, readable

WAIT = "\nimport signal; signal.pause()\n"
"""The attack is over, and only the watchdog can end the command."""


def test_a_fork_bomb_stops_at_its_limit(any_box: Box) -> None:
    code = """
import os, signal
children = 0
while True:
    try:
        pid = os.fork()
    except BlockingIOError:
        break
    if pid == 0:
        signal.pause()
    children += 1
print(children < 64, children > 50)
"""
    assert any_box.python(code) == Ended(exit_code=0, output="True True\n")


def test_a_fork_bomb_leaves_nothing_after_its_time(any_box: Box) -> None:
    started = any_box.start(["/bin/sh", "-c", "bomb() { bomb | bomb & }; echo up; bomb; sleep 600"])
    assert started.line() == "up\n"
    started.close()
    assert not started.confined.pids()


def test_threads_count_as_processes(any_box: Box) -> None:
    code = """
import threading
stop = threading.Event()
try:
    for count in range(1_000):
        threading.Thread(target=stop.wait).start()
except RuntimeError:
    print(count < 64)
stop.set()
"""
    assert any_box.python(code) == Ended(exit_code=0, output="True\n")


def test_a_memory_bomb_is_ended_with_its_cause(any_box: Box) -> None:
    code = f"""
held = []
for _ in range(40):
    held.append(bytearray(b"x" * (32 << 20)))
{WAIT}"""
    assert any_box.python(code).stopped is CauseKind.OOM


def test_a_memory_bomb_of_many_small_processes_is_ended(any_box: Box) -> None:
    code = f"""
import os, signal
for _ in range(20):
    if os.fork() == 0:
        held = bytearray(b"x" * (32 << 20))
        signal.pause()
{WAIT}"""
    assert any_box.python(code).stopped is CauseKind.OOM


def test_a_memory_bomb_in_files_without_a_name_is_ended(any_box: Box) -> None:
    code = f"""
import os
held = [os.memfd_create("bomb") for _ in range(40)]
for fd in held:
    os.write(fd, b"x" * (32 << 20))
{WAIT}"""
    assert any_box.python(code).stopped is CauseKind.OOM


def test_files_of_the_private_folders_count_as_memory(any_box: Box) -> None:
    limits = replace(SMALL, tmp_mib=300, memory_mib=200, disk_mib=1_000)
    code = f"""
with open("/tmp/bomb", "wb") as file:
    for _ in range(280):
        file.write(bytes(1 << 20))
{WAIT}"""
    assert any_box.python(code, limits=limits).stopped is CauseKind.OOM


def test_pages_that_children_share_count_once(any_box: Box) -> None:
    code = """
import os, signal, time
held = bytearray(b"x" * (40 << 20))
children = [os.fork() or signal.pause() for _ in range(12)]
deadline = time.monotonic() + 1
while time.monotonic() < deadline:
    pass
for pid in children:
    os.kill(pid, signal.SIGKILL)
print(len(children))
"""
    assert any_box.python(code) == Ended(exit_code=0, output="12\n")


@pytest.mark.parametrize("network", Network)
def test_a_disk_bomb_of_many_files_is_ended(any_box: Box, network: Network) -> None:
    code = f"""
for number in range(40):
    with open(f"file{{number}}", "wb") as file:
        file.write(b"x" * (8 << 20))
{WAIT}"""
    assert any_box.python(code, network=network).stopped is CauseKind.DISK


def test_one_file_cannot_pass_the_disk_limit(any_box: Box) -> None:
    code = """
try:
    with open("file", "wb") as file:
        for _ in range(1_000):
            file.write(b"x" * (1 << 20))
except OSError as exc:
    print(exc.strerror)
"""
    ended = any_box.python(code)
    assert ended.stopped is CauseKind.DISK or ended.output == "File too large\n"
    assert (any_box.workspace / "file").stat().st_size <= SMALL.disk_mib << 20


def test_a_disk_bomb_in_files_without_a_name_is_ended(any_box: Box) -> None:
    code = f"""
import os
held = []
for number in range(20):
    file = open("file", "wb")
    os.unlink("file")
    held.append(file)
    file.write(b"x" * (8 << 20))
    file.flush()
{WAIT}"""
    assert any_box.python(code).stopped is CauseKind.DISK


def test_a_disk_bomb_behind_closed_folders_is_ended(any_box: Box) -> None:
    code = f"""
import os
os.mkdir("closed")
held = [open(f"closed/{{number}}", "wb") for number in range(20)]
os.chmod("closed", 0)
for file in held:
    file.write(b"x" * (8 << 20))
    file.close()
{WAIT}"""
    assert any_box.python(code).stopped is CauseKind.DISK
    (any_box.workspace / "closed").chmod(0o700)


def test_a_bomb_of_empty_files_is_ended(any_box: Box) -> None:
    code = f"""
for number in range(40_000):
    open(f"file{{number}}", "wb").close()
{WAIT}"""
    assert any_box.python(code).stopped is CauseKind.DISK


def test_a_flood_of_output_does_not_keep_the_deadline_from_coming(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "exec cat /dev/zero", timeout_s=0.5)
    assert ended.stopped is CauseKind.TIMEOUT
    assert set(ended.output) == {"\0"}


def test_a_command_that_ignores_every_signal_ends_at_its_deadline(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "trap '' TERM INT HUP; while :; do :; done", timeout_s=0.3)
    assert (ended.exit_code, ended.stopped) == (137, CauseKind.TIMEOUT)


def test_a_child_that_holds_the_output_does_not_delay_the_end(box: Box) -> None:
    code = """
import os, signal
if os.fork() == 0:
    os.setsid()
    signal.pause()
print("main ended", flush=True)
"""
    started = box.start([PYTHON, "-I", "-c", code])
    assert started.line() == "main ended\n"
    assert readable(started.confined.fileno())
    assert started.confined.wait() == 0
    assert started.close() == b""


def test_core_dumps_are_not_written(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "kill -ABRT $$")
    assert ended == Ended(exit_code=134, output="")
    assert list(box.workspace.iterdir()) == []
