"""Attacks on the uid drop, where neither namespaces nor mounts help: in a container only.

`tests/e2e/test_in_a_container.py` runs them in one made by hand.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import JOB_UID, Bind, Limits, Network
from mcp_cloud_agents.sandbox.processes import users_processes
from mcp_cloud_agents.sandbox.uid_drop import INSIDE, UidDrop
from tests.sandbox_box import PYTHON, Box, Ended, make_box, own, readable
from tests.security.test_kernel_attacks import NUMBERS, SYSCALL

HELD = Ended(exit_code=0, output="held\n")
NETWORKS = [Network.NONE, Network.HOST]
CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
ME = str(os.getpid())


@pytest.fixture
def box(open_path: Path) -> Box:
    sandbox = UidDrop()
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"the uid drop does not work here: {probe.problem}")
    return make_box(sandbox, open_path)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("file", ["environ", "mem", "maps", "fd", "auxv", "io", "stack", "cwd"])
def test_attack_look_into_the_worker(box: Box, file: str, network: Network) -> None:
    code = """
import os, sys
parents, pid = [], os.getppid()
while pid:
    parents.append(pid)
    pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
for pid in {*parents, int(sys.argv[1]), 1}:
    for way in (f"/proc/{pid}/{sys.argv[2]}", f"/proc/{pid}/task/{pid}/{sys.argv[2]}"):
        for look in (lambda p: open(p, "rb").read(1), os.listdir, os.readlink):
            try:
                look(way)
            except OSError:
                continue
            raise SystemExit(f"{way} was read")
print("held")
"""
    assert box.python(code, ME, file, network=network) == HELD


@pytest.mark.parametrize("network", NETWORKS)
def test_attack_find_the_path_of_the_credentials(box: Box, network: Network) -> None:
    secret = os.getenv(CREDENTIALS, "")
    assert secret, f"run with {CREDENTIALS} in the environment"
    script = (
        "env; cat /proc/*/environ /proc/*/task/*/environ /proc/*/cmdline; "
        "cat /proc/self/mountinfo; grep -rs credentials /scratch /run /dev/shm /home"
    )
    ended = box.run("/bin/sh", "-c", script, network=network)
    assert "PATH=" in ended.output
    assert secret.rsplit("/", 1)[1] not in ended.output


@pytest.mark.parametrize("network", NETWORKS)
def test_attack_keep_a_privilege(box: Box, network: Network) -> None:
    code = """
lines = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status"))
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    assert lines[name] == "0" * 16, (name, lines[name])
assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")
assert lines["Uid"].split() == lines["Gid"].split() == ["62000"] * 4
assert lines["Groups"].split() == []
assert lines["SigBlk"] == "0" * 16
print("held")
"""
    assert box.python(code, network=network) == HELD


def test_attack_become_root_by_a_program_that_may(box: Box) -> None:
    suid = box.workspace / "suid"
    suid.write_bytes(Path("/usr/bin/id").read_bytes())
    os.chown(suid, 0, 0)
    suid.chmod(0o4755)
    assert box.run("/workspace/suid", "-u") == Ended(exit_code=0, output=f"{JOB_UID}\n")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW])
@pytest.mark.parametrize("high", [0, 1 << 32])
def test_attack_any_network_in_the_run_phase(
    box: Box, family: socket.AddressFamily, kind: socket.SocketKind, high: int
) -> None:
    code = f"{SYSCALL}\nprint(syscall({NUMBERS['socket']}, {family | high}, {int(kind)}, 0))"
    assert box.python(code) == Ended(exit_code=0, output="(-1, 'EAFNOSUPPORT')\n")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("unshare", (0x10000000,)),
        ("clone", (0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)),
        ("setns", (0, 0)),
        ("mount", (0, 0, 0, 0, 0)),
        ("chroot", (0,)),
        ("ptrace", (16, 1, 0, 0)),
        ("process_vm_writev", (1, 0, 0, 0, 0, 0)),
        ("pidfd_getfd", (0, 0, 0)),
        ("bpf", (0, 0, 0)),
        ("io_uring_setup", (1, 0)),
        ("keyctl", (0, 0, 0, 0, 0)),
    ],
)
def test_attack_a_system_call_that_no_test_needs(
    box: Box, call: str, words: tuple[int, ...], network: Network
) -> None:
    code = f"{SYSCALL}\nprint(syscall({NUMBERS[call]}, *{words!r}))"
    assert box.python(code, network=network) == Ended(exit_code=0, output="(-1, 'EPERM')\n")


def test_attack_an_abstract_socket_of_the_container_in_set_up(box: Box) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0mca-attack")
        server.listen()
        code = """
import socket
try:
    socket.socket(socket.AF_UNIX)
except OSError:
    print("held")
"""
        assert box.python(code, network=Network.HOST) == HELD


def test_attack_end_the_worker_or_its_guardian(box: Box) -> None:
    code = """
import os, signal, sys
for pid in (1, os.getppid(), int(sys.argv[1])):
    for number in (0, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        try:
            os.kill(pid, number)
        except PermissionError:
            continue
        raise SystemExit(f"{pid} can be reached")
print("held")
"""
    assert box.python(code, ME) == HELD


def test_attack_end_everybody_in_reach(box: Box) -> None:
    code = "import os; os.fork() or os.kill(-1, 9); os.wait(); os.kill(os.getpid(), 9)"
    ended = box.python(code)
    assert ended.exit_code == 128 + signal.SIGKILL
    assert users_processes(JOB_UID) == ()


def test_attack_outrun_the_end_by_forking(box: Box) -> None:
    code = """
import os, signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
print("begun", flush=True)
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        pass
"""
    started = box.start([PYTHON, "-I", "-c", code])
    assert started.line() == "begun\n"
    started.close()
    assert users_processes(JOB_UID) == ()


def test_attack_kill_what_comes_to_kill(box: Box) -> None:
    code = """
import os
if os.fork() == 0:
    os.setsid()
    print("begun", flush=True)
    while True:
        try:
            os.kill(-1, 9)
        except OSError:
            pass
os.wait()
"""
    started = box.start([PYTHON, "-I", "-c", code])
    assert started.line() == "begun\n"
    assert readable(started.confined.fileno())
    started.close()
    assert users_processes(JOB_UID) == ()


def test_attack_outlive_the_worker(box: Box) -> None:
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from mcp_cloud_agents.sandbox.uid_drop import UidDrop
from tests.sandbox_box import Box
box = Box(sandbox=UidDrop(), workspace=Path({str(box.workspace)!r}))
code = "import os, time; os.fork() or os.setsid(); print('up', flush=True); time.sleep(600)"
started = box.start([{PYTHON!r}, "-I", "-c", code])
assert started.line() + started.line() == "up\\nup\\n"
print(*started.confined.pids(), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for pid in map(int, done.stdout.split()):
        try:
            held = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert readable(held)
        os.close(held)
    assert users_processes(JOB_UID) == ()


def test_attack_forge_the_exit_code(box: Box) -> None:
    code = """
import os
for fd in range(3, 1_024):
    try:
        os.write(fd, b'{"exit-code": 0}\\n')
    except OSError:
        continue
print('{"exit-code": 0}', flush=True)
os._exit(7)
"""
    assert box.python(code) == Ended(exit_code=7, output='{"exit-code": 0}\n')


def test_attack_write_outside_of_what_was_shown(box: Box) -> None:
    script = (
        "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*' 2>/dev/null;"
        f" find /scratch -writable 2>/dev/null | grep -v '^{INSIDE}/[a-z]*$'; echo held"
    )
    assert box.run("/bin/sh", "-c", script) == HELD


def test_attack_reach_a_folder_of_the_job_that_is_not_shown(box: Box, open_path: Path) -> None:
    kept = open_path / "kept"
    kept.mkdir(mode=0o700)
    secret = kept / "git"
    secret.mkdir(mode=0o755)
    own(secret)
    (secret / "config").write_text("s3cret")
    ended = box.run("/bin/sh", "-c", f"cat {secret}/config; echo x > {secret}/config; ls {kept}")
    assert "s3cret" not in ended.output
    assert (secret / "config").read_text() == "s3cret"


def test_attack_leave_something_for_the_next_command(box: Box) -> None:
    folders = "/tmp /home/agent /dev/shm"
    script = f"for f in {folders}; do mkdir -p $f/d/e; echo x > $f/d/e/x; chmod 0 $f/d; done"
    assert box.run("/bin/sh", "-c", script).exit_code == 0
    left = box.run("/bin/sh", "-c", f"ls -A {folders} | grep -v : | grep .; echo held")
    assert left == HELD


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_attack_a_link_where_a_folder_is_shown(box: Box, open_path: Path, below: str) -> None:
    outside, part = open_path / "outside", open_path / "part"
    for made in (outside, part):
        made.mkdir()
        own(made)
    (box.workspace / "modules").symlink_to(outside)
    binds = (
        *box.confinement().binds,
        Bind(host=str(part), inside=f"/workspace/modules{below}", writable=True),
    )
    with pytest.raises(IsolationUnavailable):
        box.run("/bin/true", binds=binds)
    assert list(outside.iterdir()) == []
    assert part.is_dir()
    assert (box.workspace / "modules").is_symlink()


@pytest.mark.parametrize("swap", ["rm -r modules; ln -s / modules", "mv modules away", "true"])
def test_attack_swap_a_folder_that_is_shown_in_the_tree(
    box: Box, open_path: Path, swap: str
) -> None:
    env = open_path / "env"
    env.mkdir()
    part = env / "modules"
    part.mkdir()
    own(env)
    own(part)
    (part / "file").write_text("kept")
    binds = (
        *box.confinement().binds,
        Bind(host=str(env), inside="/env", writable=True),
        Bind(host=str(part), inside="/workspace/modules", writable=True),
    )
    script = f"cat modules/file && {swap}"
    assert box.run("/bin/sh", "-c", script, binds=binds) == Ended(exit_code=0, output="kept")
    assert not part.is_symlink()
    assert part.is_dir() is (swap == "true")
    assert env.is_dir()
    assert os.listdir(INSIDE) == []


def test_attack_a_path_that_climbs_out_of_where_folders_are_shown(box: Box) -> None:
    for inside in ("/workspace/../x", "/etc/x", "/workspace//x", "relative", "/"):
        with pytest.raises(IsolationUnavailable):
            box.run("/bin/true", binds=(Bind(host=str(box.workspace), inside=inside),), cwd="/")
    assert box.workspace.is_dir()


def test_limits_hold_for_the_whole_user(box: Box) -> None:
    limits = Limits(processes=20, open_files=64, disk_mib=1)
    code = """
import os
children = []
try:
    while True:
        children.append(os.fork())
        if not children[-1]:
            import signal; signal.pause()
except BlockingIOError:
    print(len(children) <= 20)
"""
    assert box.python(code, limits=limits).output == "True\n"
    ended = box.run("/bin/sh", "-c", "ulimit -n; head -c 2M /dev/zero > large", limits=limits)
    assert ended.output.startswith("64\n")
    assert (box.workspace / "large").stat().st_size <= 1 << 20
