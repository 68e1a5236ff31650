"""Attacks out of the sandbox: on the host's files and processes, by the kernel, by the network."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Bind, Network
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from tests.sandbox_box import PYTHON, Box, Ended, make_box, own

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux", reason="full isolation is what bubblewrap gives"
)
HELD = Ended(exit_code=0, output="held\n")
NETWORKS = [Network.NONE, Network.HOST]
SYSCALL = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def syscall(number, *words):
    ctypes.set_errno(0)
    result = libc.syscall(*map(ctypes.c_long, (number, *words)))
    return result, errno.errorcode.get(ctypes.get_errno(), "")
"""
# Numbers of system calls: they differ between architectures (asm/unistd_64.h, asm-generic).
X86 = {"socket": 41, "socketpair": 53, "ioctl": 16, "clone": 56, "unshare": 272, "mount": 165}
X86 |= {"ptrace": 101, "process_vm_writev": 311, "bpf": 321, "io_uring_setup": 425, "keyctl": 250}
X86 |= {"userfaultfd": 323, "perf_event_open": 298, "setns": 308, "open_by_handle_at": 304}
X86 |= {"pidfd_getfd": 438, "clone3": 435, "fsopen": 430, "chroot": 161}
ARM = {"socket": 198, "socketpair": 199, "ioctl": 29, "clone": 220, "unshare": 97, "mount": 40}
ARM |= {"ptrace": 117, "process_vm_writev": 271, "bpf": 280, "io_uring_setup": 425, "keyctl": 219}
ARM |= {"userfaultfd": 282, "perf_event_open": 241, "setns": 268, "open_by_handle_at": 265}
ARM |= {"pidfd_getfd": 438, "clone3": 435, "fsopen": 430, "chroot": 51}
NUMBERS = X86 if platform.machine() == "x86_64" else ARM
HIGH = 1 << 32
"""A bit that the kernel drops from an int, and a careless filter does not."""


@pytest.fixture
def box(open_path: Path) -> Box:
    sandbox = Bubblewrap()
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    return make_box(sandbox, open_path)


def readable_secret(folder: Path) -> Path:
    """A file that every user of the host may read."""
    secret = folder / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    folder.chmod(0o755)
    return secret


def test_attack_read_a_host_file(box: Box, open_path: Path) -> None:
    secret = readable_secret(open_path)
    ended = box.run("/bin/sh", "-c", f"cat {secret} /etc/shadow /etc/hostname /root/.ssh/*; ls /")
    assert "s3cret" not in ended.output
    assert ended.output.endswith(
        "bin\ndev\netc\nhome\nlib\nlib64\nproc\nrun\nsbin\ntmp\nusr\nvar\nworkspace\n"
    )


@pytest.mark.parametrize("way", ["/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/oldroot"])
def test_attack_reach_the_host_through_proc(box: Box, open_path: Path, way: str) -> None:
    secret = readable_secret(open_path)
    assert box.run("/bin/cat", f"{way}{secret}").exit_code == 1


def test_attack_follow_a_link_of_the_workspace_to_the_host(box: Box, open_path: Path) -> None:
    secret = readable_secret(open_path)
    (box.workspace / "link").symlink_to(secret)
    (box.workspace / "up").symlink_to("../../../../../../..")
    ended = box.run("/bin/sh", "-c", f"cat link; cat up{secret}; cat ../..{secret}")
    assert "s3cret" not in ended.output


@pytest.mark.parametrize(
    "file", ["environ", "mem", "maps", "cmdline", "fd", "task/1/mem", "task/1/environ", "auxv"]
)
def test_attack_look_into_the_first_process(box: Box, file: str) -> None:
    assert box.run("/bin/ls", f"/proc/1/{file}").exit_code == 2


def test_attack_write_the_memory_of_the_unfiltered_first_process(box: Box) -> None:
    code = """
import os
for pid in os.listdir("/proc"):
    if pid == "1":
        for way in ("/proc/1/mem", "/proc/1/task/1/mem", "/proc/self/../1/mem"):
            try:
                open(way, "r+b")
            except FileNotFoundError:
                continue
            raise SystemExit(f"{way} is open")
os.mkdir("/workspace/proc")
assert os.system("mount -t proc proc /workspace/proc 2>/dev/null || umount /proc/1 2>&-") != 0
print("held")
"""
    assert box.python(code) == HELD


def test_attack_find_a_process_without_a_filter(box: Box) -> None:
    code = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        lines = dict(line.split(":\\t", 1) for line in open(f"/proc/{pid}/status"))
    except FileNotFoundError:
        assert pid == "1", pid
        continue
    found = [lines[name].strip() for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapBnd")]
    assert found == ["2", "1", "0" * 16, "0" * 16], (pid, found)
print("held")
"""
    assert box.python(code) == HELD


def test_attack_see_other_processes(box: Box) -> None:
    code = """
import os
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
assert set(pids) == {1, os.getpid()}, pids
for pid in range(3, 4_000):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        continue
    raise SystemExit(f"process {pid} is in reach")
print("held")
"""
    assert box.python(code) == HELD


def test_attack_read_the_host_s_environment(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent.sock")
    ended = box.run("/bin/sh", "-c", "env; cat /proc/*/environ /proc/*/task/*/environ")
    assert "s3cret" not in ended.output
    assert "agent.sock" not in ended.output


def test_attack_see_the_host_s_paths_in_a_command_line(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "cat /proc/*/cmdline; cat /proc/mounts | cut -d ' ' -f 2")
    assert str(box.workspace) not in ended.output


def test_attack_write_outside_the_workspace(box: Box) -> None:
    folders = "/ /dev /dev/pts /etc /home /proc /run /usr /usr/bin /var /usr/local /proc/1"
    script = f"for f in {folders}; do touch $f/x 2>/dev/null && echo $f; done; echo held"
    assert box.run("/bin/sh", "-c", script) == HELD


def test_attack_write_an_open_file_of_the_system(box: Box) -> None:
    code = """
import os
for path in ("/usr/bin/env", "/bin/sh", "/etc/passwd", "/etc/ld.so.cache", "/proc/self/exe"):
    try:
        os.open(path, os.O_WRONLY)
    except OSError:
        continue
    raise SystemExit(f"{path} is writable")
print("held")
"""
    assert box.python(code) == HELD


@pytest.mark.parametrize(
    "setting",
    ["kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory", "kernel/modprobe"],
)
def test_attack_write_a_setting_of_the_kernel(box: Box, setting: str) -> None:
    before = Path(f"/proc/sys/{setting}").read_text()
    ended = box.run("/bin/sh", "-c", f"echo '|/workspace/evil' > /proc/sys/{setting}")
    assert ended.exit_code != 0
    assert Path(f"/proc/sys/{setting}").read_text() == before


@pytest.mark.parametrize("network", NETWORKS)
def test_attack_trigger_the_kernel_s_own_keys(box: Box, network: Network) -> None:
    script = "echo b > /proc/sysrq-trigger || echo 1 > /proc/sys/vm/drop_caches"
    assert box.run("/bin/sh", "-c", script, network=network).exit_code != 0


def test_attack_be_root_on_the_host(box: Box) -> None:
    (box.workspace / "suid").write_bytes(Path("/bin/true").read_bytes())
    started = box.start(["/bin/sh", "-c", "chmod 6755 suid; chown 0:0 suid; echo up; sleep 600"])
    while (line := started.line()) != "up\n":
        assert "not permitted" in line or "Invalid argument" in line
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in started.confined.pids()}
    started.close()
    assert 0 not in owners
    assert (box.workspace / "suid").stat().st_uid in (*owners, os.geteuid())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("unshare", (0x10000000,)),
        ("unshare", (0x00020000,)),
        ("clone", (0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)),
        ("clone", (HIGH | 0x20000000 | signal.SIGCHLD, 0, 0, 0, 0)),
        ("setns", (0, 0)),
        ("mount", (0, 0, 0, 0, 0)),
        ("fsopen", (0, 0)),
        ("chroot", (0,)),
        ("ptrace", (16, 1, 0, 0)),
        ("process_vm_writev", (1, 0, 0, 0, 0, 0)),
        ("pidfd_getfd", (0, 0, 0)),
        ("bpf", (0, 0, 0)),
        ("io_uring_setup", (1, 0)),
        ("keyctl", (0, 0, 0, 0, 0)),
        ("userfaultfd", (0,)),
        ("perf_event_open", (0, 0, 0, 0, 0)),
        ("open_by_handle_at", (0, 0, 0)),
        ("ioctl", (0, 0x5412, 0)),
        ("ioctl", (0, HIGH | 0x5412, 0)),
        ("ioctl", (0, 0x541C, 0)),
    ],
)
def test_attack_a_system_call_that_no_test_needs(
    box: Box, call: str, words: tuple[int, ...], network: Network
) -> None:
    code = f"{SYSCALL}\nprint(syscall({NUMBERS[call]}, *{words!r}))"
    assert box.python(code, network=network) == Ended(exit_code=0, output="(-1, 'EPERM')\n")


def test_attack_clone3_hides_its_flags_from_the_filter(box: Box) -> None:
    code = f"{SYSCALL}\nprint(syscall({NUMBERS['clone3']}, 0, 0))"
    assert box.python(code) == Ended(exit_code=0, output="(-1, 'ENOSYS')\n")


def test_attack_a_new_user_namespace(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "unshare -Ur id; bwrap --unshare-user --ro-bind / / id")
    assert "uid=0" not in ended.output
    assert ended.exit_code != 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 has three doors, others one")
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "code",
    [
        "syscall(0x40000000 | 39)",  # x32
        # mov eax, 20 (getpid); int 0x80; ret
        "machine_code(bytes.fromhex('b814000000cd80c3'))",
    ],
)
def test_attack_enter_the_kernel_by_another_architecture(
    box: Box, code: str, network: Network
) -> None:
    machine_code = """
import mmap
def machine_code(data):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(data)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""
    ended = box.python(f"{SYSCALL}{machine_code}\nprint('result', {code})", network=network)
    assert ended == Ended(exit_code=128 + signal.SIGSYS, output="")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("call", ["socket", "socketpair"])
def test_attack_every_odd_socket_family(box: Box, call: str, network: Network) -> None:
    allowed = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    families = [number for number in range(48) if number not in allowed]
    code = f"""{SYSCALL}
pair = ctypes.create_string_buffer(8)
for family in {families!r}:
    for kind in (1, 2, 3, 5):
        for high in (0, {HIGH}):
            words = family | high, kind, 0, ctypes.addressof(pair)
            found = syscall({NUMBERS[call]}, *words)
            assert found == (-1, "EAFNOSUPPORT"), (words, found)
print("held")
"""
    assert box.python(code, network=network) == HELD


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("high", [0, HIGH])
def test_attack_a_raw_socket(
    box: Box, family: socket.AddressFamily, high: int, network: Network
) -> None:
    for kind in (3, 3 | socket.SOCK_CLOEXEC, 3 | socket.SOCK_NONBLOCK, HIGH | 3):
        code = f"{SYSCALL}\nprint(syscall({NUMBERS['socket']}, {high | family}, {kind}, 1))"
        ended = box.python(code, network=network)
        assert ended == Ended(exit_code=0, output="(-1, 'EAFNOSUPPORT')\n")


def test_attack_an_abstract_socket_of_the_host_in_the_run_phase(box: Box) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0mca-attack")
        server.listen()
        code = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect("\\0mca-attack")
except ConnectionRefusedError:
    print("held")
"""
        assert box.python(code) == HELD


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_attack_an_abstract_socket_of_the_host_in_set_up(
    box: Box, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind("\0mca-attack")
        server.setblocking(False)
        if kind != socket.SOCK_DGRAM:
            server.listen()
        code = f"""
import socket
ways = [
    lambda: socket.socket(socket.AF_UNIX, {int(kind)}),
    lambda: socket.socketpair(socket.AF_UNIX, {int(kind)})[0],
    lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0],
]
for way in ways:
    for act in ("connect", "sendto"):
        try:
            mine = way()
            mine.connect("\\0mca-attack") if act == "connect" else mine.sendto(b"x", "\\0mca-attack")
        except OSError:
            continue
        # A stream of a pair ignores the address: what matters is what arrives.
print("held")
"""
        assert box.python(code, network=Network.HOST) == HELD
        with pytest.raises(BlockingIOError):
            server.recv(1) if kind == socket.SOCK_DGRAM else server.accept()


def test_set_up_keeps_the_pairs_that_programs_use(box: Box) -> None:
    code = """
import multiprocessing, socket, subprocess
a, b = socket.socketpair()
a.send(b"x")
assert b.recv(1) == b"x"
if __name__ == "__main__":
    assert multiprocessing.get_context("fork").Pool(2).map(abs, [-1]) == [1]
    assert subprocess.check_output(["echo", "y"]) == b"y\\n"
print("held")
"""
    assert box.python(code, network=Network.HOST) == HELD


@pytest.mark.parametrize("place", ["run/docker.sock", "tmp/ssh-agent.sock"])
def test_attack_the_sockets_of_docker_and_the_ssh_agent(
    box: Box, open_path: Path, place: str, network: Network = Network.HOST
) -> None:
    path = open_path / place
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o777)
        code = f"""
import os, socket
for path in ({str(path)!r}, "/run/docker.sock", "/var/run/docker.sock", "/run/user", "/run/dbus"):
    assert not os.path.exists(path), path
print("held")
"""
        assert box.python(code) == HELD
        assert box.python(code, network=network) == HELD


def test_attack_reach_the_network_in_the_run_phase(box: Box) -> None:
    code = """
import socket
for family, address in ((2, "1.1.1.1"), (2, "169.254.169.254"), (10, "2606:4700:4700::1111")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind).connect((address, 53))
        except OSError:
            continue
        raise SystemExit(f"{address} is reached")
print("held")
"""
    assert box.python(code) == HELD


def test_attack_push_characters_into_a_terminal(box: Box) -> None:
    code = """
import fcntl, os, pty
try:
    os.open("/dev/tty", os.O_RDWR)
    raise SystemExit("it has a terminal")
except OSError:
    pass
master, slave = pty.openpty()
for fd in (0, 1, slave):
    try:
        fcntl.ioctl(fd, 0x5412, b"x")
    except PermissionError:
        continue
    raise SystemExit("TIOCSTI")
print("held")
"""
    assert box.python(code) == HELD


def test_attack_forge_the_exit_code(box: Box) -> None:
    code = """
import os
for fd in range(3, 1_024):
    for line in (b'{ "exit-code": 0 }\\n', (1).to_bytes(8, "little")):
        try:
            os.write(fd, line)
        except OSError:
            continue
print('{ "exit-code": 0 }')
os._exit(7)
"""
    ended = box.python(code)
    assert ended == Ended(exit_code=7, output='{ "exit-code": 0 }\n')


def test_attack_use_a_descriptor_that_was_left_open(box: Box, open_path: Path) -> None:
    secret = readable_secret(open_path)
    fd = os.open(secret, os.O_RDWR)
    os.set_inheritable(fd, True)
    try:
        ended = box.run("/bin/sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done")
    finally:
        os.close(fd)
    assert set(ended.output.split()) <= {"0", "1", "2", "3"}  # 3: the shell reads the folder
    (line,) = box.run("/bin/sh", "-c", "readlink /proc/$$/fd/0").output.splitlines()
    assert line == "/dev/null"


def test_attack_truncate_the_log(box: Box) -> None:
    code = """
import os
print("kept", flush=True)
for act in (lambda: os.ftruncate(1, 0), lambda: os.lseek(1, 0, 0), lambda: open("/proc/self/fd/1")):
    try:
        act()
    except OSError:
        continue
os.close(1)
"""
    assert box.python(code).output.startswith("kept\n")


@pytest.mark.parametrize("path", ["/proc/1/x", "/usr/x", "/dev/x", "/etc/x"])
def test_attack_swap_a_folder_of_the_system(box: Box, path: str) -> None:
    folder = os.path.dirname(path)
    ended = box.run("/bin/sh", "-c", f"mv {folder} /tmp/y; ln -s /workspace {folder}; echo held")
    assert ended.output.endswith("held\n")
    assert ended.output.count("\n") == 3


@pytest.mark.parametrize(
    "inside", ["/workspace/../etc", "workspace/x", "/workspace//x", "/workspace/./x", "/"]
)
def test_attack_a_bind_at_a_path_that_is_not_plain(
    box: Box, open_path: Path, inside: str
) -> None:
    shown = own(open_path / "shown") if (open_path / "shown").mkdir() else open_path / "shown"
    binds = (*box.confinement().binds, Bind(host=str(shown), inside=inside))
    with pytest.raises(IsolationUnavailable, match="mount point"):
        box.run("/bin/true", binds=binds)


def _with_bind(box: Box, host: Path, inside: str) -> Ended:
    binds = (*box.confinement().binds, Bind(host=str(host), inside=inside))
    return box.run("/bin/true", binds=binds)


def _with_tmpfs(box: Box, host: Path, inside: str) -> Ended:
    del host
    return box.run("/bin/true", tmpfs=(inside,))


@pytest.mark.parametrize("mount", [_with_bind, _with_tmpfs])
@pytest.mark.parametrize("below", ["", "/deeper/still"])
def test_attack_a_link_of_the_workspace_where_a_folder_is_mounted(
    box: Box, open_path: Path, mount: Callable[[Box, Path, str], Ended], below: str
) -> None:
    """While bubblewrap mounts, the host is at /oldroot: a link there would write to the host."""
    outside = open_path / "outside"
    outside.mkdir()
    own(outside)
    (box.workspace / "modules").symlink_to(f"/oldroot{outside}")
    with pytest.raises(IsolationUnavailable, match="mount point"):
        mount(box, open_path / "workspace", f"/workspace/modules{below}")
    assert list(outside.iterdir()) == []


def test_attack_outlive_the_supervisor(box: Box, open_path: Path) -> None:
    script = f"""
import os, sys
sys.path[:0] = {os.sys.path!r}
from pathlib import Path
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from tests.sandbox_box import Box
box = Box(sandbox=Bubblewrap(), workspace=Path({str(box.workspace)!r}))
code = "import os, time; os.fork() or os.setsid(); print('up', flush=True); time.sleep(600)"
started = box.start([{PYTHON!r}, "-I", "-c", code])
assert started.line() + started.line() == "up\\nup\\n"
print(*started.confined.pids(), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([os.sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 3
    assert [pid for pid in pids if alive(pid)] == []


def alive(pid: int) -> bool:
    """Whether a process has not ended within 10 s."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        import select

        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return not poll.poll(10_000)
    finally:
        os.close(fd)
