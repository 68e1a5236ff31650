"""Attacks on the kernel and the network, as the run phase and as set-up can reach them."""

from __future__ import annotations

import platform
import signal
import socket
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import Network
from tests.sandbox_box import Box, Ended

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
# Of x86_64 and of the others (asm/unistd_64.h, asm-generic/unistd.h).
_NUMBERS = {
    "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29), "clone": (56, 220),
    "unshare": (272, 97), "mount": (165, 40), "ptrace": (101, 117), "bpf": (321, 280),
    "process_vm_writev": (311, 271), "io_uring_setup": (425, 425), "keyctl": (250, 219),
    "userfaultfd": (323, 282), "perf_event_open": (298, 241), "setns": (308, 268),
    "open_by_handle_at": (304, 265), "pidfd_getfd": (438, 438), "clone3": (435, 435),
    "fsopen": (430, 430), "chroot": (161, 51),
}  # fmt: skip
NUMBERS = {name: one[platform.machine() != "x86_64"] for name, one in _NUMBERS.items()}
HIGH = 1 << 32
"""A bit that the kernel drops from an int, and a careless filter does not."""


@pytest.mark.parametrize(
    "setting",
    ["kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory", "kernel/pid_max"],
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
def test_attack_an_abstract_socket_of_the_host_in_set_up(box: Box, kind: socket.SocketKind) -> None:
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
            mine, name = way(), "\\0mca-attack"
            mine.connect(name) if act == "connect" else mine.sendto(b"x", name)
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


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("place", ["run/docker.sock", "tmp/ssh-agent.sock"])
def test_attack_the_sockets_of_docker_and_the_ssh_agent(
    box: Box, open_path: Path, place: str, network: Network
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
