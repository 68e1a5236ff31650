"""The contract of `ports.sandbox`, on every driver that starts here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.sandbox import Bind, Limits, Network
from mcp_cloud_agents.sandbox.bubblewrap_args import BASE_ENV, CERTIFICATES, SYSTEM_PATH
from tests.sandbox_box import PYTHON, Box, Ended, own, readable

DAEMON = """
import os, signal, sys
told, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        print("daemon runs", flush=True)
        os.write(tell, b".")
        signal.pause()
    os._exit(0)
os.wait()
os.read(told, 1)
if sys.argv[1] == "stay":
    signal.pause()
"""


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_command_s(box: Box, code: int) -> None:
    assert box.run("/bin/sh", "-c", f"exit {code}") == Ended(exit_code=code, output="")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT])
def test_a_signal_shows_as_128_and_its_number(box: Box, number: signal.Signals) -> None:
    ended = box.run("/bin/sh", "-c", f"kill -{number.value} $$")
    assert ended == Ended(exit_code=128 + number, output="")


def test_commands_of_several_at_once_do_not_disturb_each_other(box: Box) -> None:
    if not box.sandbox.parallel:
        pytest.skip("this driver runs one command at a time, and says so")
    waiting = ["/bin/sh", "-c", "echo begun; while [ ! -e /workspace/go ]; do sleep 0.01; done"]
    started = [box.start(waiting), box.start(waiting)]
    assert [one.line() for one in started] == ["begun\n", "begun\n"]
    (box.workspace / "go").touch()
    for one in started:
        assert readable(one.confined.fileno())
        assert one.confined.wait() == 0
        assert one.close() == b""


def test_a_program_that_does_not_exist_ends_with_127(strong_box: Box) -> None:
    ended = strong_box.run("no-such-program")
    assert (ended.exit_code, "no-such-program" in ended.output) == (127, True)


def test_a_command_that_never_started_has_no_exit_code(full_box: Box, open_path: Path) -> None:
    missing = Bind(host=str(open_path / "missing"), inside="/missing")
    ended = full_box.run("/bin/true", binds=(missing,), cwd="/")
    assert ended.exit_code is None
    assert "missing" in ended.output


def test_stdout_and_stderr_come_through_the_same_pipe(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "echo one; echo two >&2; printf three")
    assert ended == Ended(exit_code=0, output="one\ntwo\nthree")


def test_stdin_is_empty(box: Box) -> None:
    assert box.run("/bin/cat") == Ended(exit_code=0, output="")


def test_words_of_the_command_arrive_unchanged(box: Box) -> None:
    words = ["--", "", "a b", "$HOME", "--bind", "new\nline", "é"]
    ended = box.python("import json, sys; print(json.dumps(sys.argv[1:]))", *words)
    assert json.loads(ended.output) == words


def test_the_environment_is_the_fixed_base_and_what_was_asked(
    strong_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "canary")
    ended = strong_box.python(
        "import json, os; print(json.dumps(dict(os.environ)))",
        env=(("TERM", "vt100"), ("ASKED", "for ü")),
        path=("/env/bin", "/other"),
    )
    env = json.loads(ended.output)
    env.pop("PWD", None)
    env.pop("LC_CTYPE", None)  # Python's own, in a plain C locale
    asked = {"TERM": "vt100", "ASKED": "for ü", "PATH": f"/env/bin:/other:{SYSTEM_PATH}"}
    assert env == BASE_ENV | asked


def test_a_nul_in_any_word_is_refused(box: Box) -> None:
    smuggled = "x\0--bind\0/\0/host"
    with pytest.raises(InvalidArgument):
        box.run("/bin/true", env=(("A", smuggled),))
    with pytest.raises(InvalidArgument):
        box.run("/bin/echo", smuggled)


def test_the_command_starts_in_the_folder_that_was_asked(full_box: Box) -> None:
    (full_box.workspace / "below").mkdir()
    assert full_box.run("/bin/pwd") == Ended(exit_code=0, output="/workspace\n")
    ended = full_box.run("/bin/pwd", cwd="/workspace/below")
    assert ended == Ended(exit_code=0, output="/workspace/below\n")


def test_a_writable_bind_takes_files(box: Box) -> None:
    assert box.run("/bin/sh", "-c", "printf kept > /workspace/file").exit_code == 0
    assert (box.workspace / "file").read_bytes() == b"kept"


def test_a_read_only_bind_shows_files_and_takes_none(full_box: Box, open_path: Path) -> None:
    shown = open_path / "shown"
    shown.mkdir()
    own(shown)
    (shown / "file").write_text("to read")
    binds = (Bind(host=str(shown), inside="/shown"),)
    assert full_box.run("/bin/cat", "/shown/file", binds=binds, cwd="/").output == "to read"
    refused = full_box.run(
        "/bin/sh", "-c", "echo x > /shown/file || rm -f /shown/file", binds=binds, cwd="/"
    )
    assert refused.exit_code != 0
    assert [path.read_text() for path in shown.iterdir()] == ["to read"]


def test_a_later_bind_covers_an_earlier_one(full_box: Box, open_path: Path) -> None:
    kept = open_path / "kept"
    kept.mkdir()
    (kept / "from").write_text("the later bind")
    (full_box.workspace / "kept").mkdir()
    binds = (*full_box.confinement().binds, Bind(host=str(kept), inside="/workspace/kept"))
    ended = full_box.run("/bin/sh", "-c", "cat kept/from; touch kept/new", binds=binds)
    assert (ended.exit_code, ended.output[:14]) == (1, "the later bind")


def test_temporary_folders_are_private_and_of_the_size_asked(full_box: Box) -> None:
    limits = Limits(tmp_mib=8)
    for folder in ("/tmp", "/dev/shm", "/home/agent"):
        ended = full_box.run(
            "/bin/sh", "-c", f"ls {folder}; head -c 9M /dev/zero > {folder}/x", limits=limits
        )
        assert ended.exit_code == 1
        assert ended.output.endswith("No space left on device\n")


def test_a_further_private_tmpfs_covers_its_mount_point(full_box: Box) -> None:
    cache = full_box.workspace / "cache"
    cache.mkdir()
    own(cache)
    (cache / "old").touch()
    ended = full_box.run(
        "/bin/sh", "-c", "ls cache; touch cache/new; ls cache", tmpfs=("/workspace/cache",)
    )
    assert ended == Ended(exit_code=0, output="new\n")
    assert [path.name for path in cache.iterdir()] == ["old"]


def test_without_network_there_is_a_loopback_and_nothing_else(full_box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        code = """
import json, os, socket, sys
here = socket.create_server(("127.0.0.1", 0))
socket.create_connection(here.getsockname()).close()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
    reached = True
except OSError:
    reached = False
names = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
print(json.dumps([reached, names]))
"""
        ended = full_box.python(code, str(host.getsockname()[1]))
    assert ended == Ended(exit_code=0, output='[false, ["lo"]]\n')


def test_with_the_host_s_network_its_servers_and_name_servers_are_reached(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        code = """
import socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
sys.stdout.write(open("/etc/resolv.conf").read())
"""
        ended = box.python(code, str(host.getsockname()[1]), network=Network.HOST)
    assert ended == Ended(exit_code=0, output=Path("/etc/resolv.conf").read_text())


def test_with_the_host_s_network_certificates_are_found(strong_box: Box) -> None:
    ended = strong_box.run("/bin/sh", "-c", 'echo "$SSL_CERT_FILE"', network=Network.HOST)
    expected = CERTIFICATES if Path(CERTIFICATES).exists() else ""
    assert ended == Ended(exit_code=0, output=f"{expected}\n")


def test_open_files_and_processes_are_limited(strong_box: Box) -> None:
    ended = strong_box.run("/bin/bash", "-c", "ulimit -n; ulimit -u; ulimit -c")
    assert ended == Ended(exit_code=0, output="256\n64\n0\n")


def test_the_descriptor_becomes_readable_at_the_end_and_not_before(box: Box) -> None:
    started = box.start(["/bin/sh", "-c", "echo up; sleep 600"])
    assert started.line() == "up\n"
    assert not readable(started.confined.fileno(), 0)
    started.confined.kill()
    assert readable(started.confined.fileno())
    assert started.confined.wait() == 128 + signal.SIGKILL
    started.close()


def pythons(pids: Sequence[int]) -> int:
    """How many of these processes run our script; one that has ended meanwhile does not."""
    found = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += Path(f"/proc/{pid}/cmdline").read_bytes().startswith(PYTHON.encode())
    return found


def test_the_whole_process_tree_is_listed_and_none_after_the_end(strong_box: Box) -> None:
    started = strong_box.start([PYTHON, "-I", "-c", DAEMON, "stay"])
    assert started.line() == "daemon runs\n"
    deadline = time.monotonic() + 20
    while pythons(started.confined.pids()) != 2:  # who forked it may take a moment to end
        assert time.monotonic() < deadline
    assert os.getpid() not in started.confined.pids()
    started.close()
    assert tuple(started.confined.pids()) == ()


def test_kill_ends_daemonised_children_too(strong_box: Box) -> None:
    started = strong_box.start([PYTHON, "-I", "-c", DAEMON, "stay"])
    assert started.line() == "daemon runs\n"
    assert started.close() == b""  # the daemon holds the pipe: at its end, it is gone


def test_children_that_outlive_the_command_end_with_it(strong_box: Box) -> None:
    started = strong_box.start([PYTHON, "-I", "-c", DAEMON, "leave"])
    assert started.line() == "daemon runs\n"
    assert readable(started.confined.fileno())
    assert started.confined.wait() == 0
    assert readable(started.reading, 0)
    assert os.read(started.reading, 1) == b""
    os.close(started.reading)


def test_killing_and_waiting_twice_is_harmless(box: Box) -> None:
    started = box.start(["/bin/sh", "-c", "exit 3"])
    assert readable(started.confined.fileno())
    for _ in range(2):
        started.confined.kill()
        assert started.confined.wait() == 3
    assert not started.confined.oom_killed()
    os.close(started.reading)


def test_no_process_of_it_is_the_host_s_root(full_box: Box) -> None:
    started = full_box.start(["/bin/sh", "-c", "id -u; sleep 600"])
    assert started.line() == "1000\n"
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in started.confined.pids()}
    started.close()
    assert 0 not in owners
    assert len(owners) == 1


def test_many_in_a_row_leave_no_descriptor_behind(strong_box: Box) -> None:
    strong_box.run("/bin/true")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert strong_box.run("/bin/true").exit_code == 0
    assert len(os.listdir("/proc/self/fd")) == before
