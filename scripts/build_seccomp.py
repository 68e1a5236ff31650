"""Writes the seccomp filters that ship in `mcp_cloud_agents/sandbox/seccomp/`.

Run it after a change: `.venv/bin/python scripts/build_seccomp.py [FOLDER]`. A test builds them
again and compares, where libseccomp has the version in `BUILT_WITH`: another one may lay the same
rules out in other code. What the filters do is tested by attacks, with any version.

The lists follow facts about kernel surface that a test suite never needs: mounts and namespaces,
other processes, kernel interfaces, the machine itself, odd socket families.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import sys
from itertools import product
from pathlib import Path

import pyseccomp as sc

FOLDER = Path(__file__).resolve().parent.parent / "mcp_cloud_agents/sandbox/seccomp"
ARCHITECTURES = {"x86_64": sc.Arch.X86_64, "aarch64": sc.Arch.AARCH64}
PROFILES = ("run", "setup", "offline")

MOUNTS_AND_NAMESPACES = (
    "mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount fsconfig fspick "
    "mount_setattr unshare setns"
)
OTHER_PROCESSES = "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd"
KERNEL_SURFACE = (
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl "
    "add_key request_key open_by_handle_at name_to_handle_at memfd_secret fanotify_init vmsplice "
    "mbind move_pages lookup_dcookie quotactl quotactl_fd syslog acct"
)
MACHINE = (
    "kexec_load kexec_file_load init_module finit_module delete_module swapon swapoff reboot iopl "
    "ioperm clock_settime settimeofday adjtimex vhangup uselib nfsservctl"
)
DENIED = " ".join((MOUNTS_AND_NAMESPACES, OTHER_PROCESSES, KERNEL_SURFACE, MACHINE)).split()
# The CLONE_NEW* flags of sched.h: user, mount, pid, net, ipc, uts, cgroup
NAMESPACES = (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000)
TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
FAMILIES = frozenset(range(48)) - {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}
SOCK_TYPE_MASK, SOCK_DGRAM, SOCK_RAW = 0xF, 2, 3
INT = 0xFFFFFFFF
"""The kernel takes the low half of a register for an int, a filter sees all 64 bits: unmasked,
socket(AF_VSOCK | 1 << 32) passes the filter and opens AF_VSOCK."""


def build(architecture: str, profile: str) -> bytes:
    """The filter as BPF code."""
    filters = sc.SyscallFilter(sc.ALLOW)
    arch = ARCHITECTURES[architecture]
    if arch != sc.system_arch():
        filters.remove_arch(sc.Arch.NATIVE)
        filters.add_arch(arch)
    for name in DENIED:
        filters.add_rule(sc.ERRNO(errno.EPERM), name)
    for flag in NAMESPACES:
        filters.add_rule(sc.ERRNO(errno.EPERM), "clone", sc.Arg(0, sc.MASKED_EQ, flag, flag))
    # Its flags are behind a pointer, out of a filter's sight; libc falls back to clone.
    filters.add_rule(sc.ERRNO(errno.ENOSYS), "clone3")
    for request in TERMINAL_INJECTION:
        filters.add_rule(sc.ERRNO(errno.EPERM), "ioctl", sc.Arg(1, sc.MASKED_EQ, INT, request))
    _limit_sockets(filters, profile)
    return _exported(filters)


def _limit_sockets(filters: sc.SyscallFilter, profile: str) -> None:
    for call, family in product(("socket", "socketpair"), sorted(FAMILIES)):
        filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), call, _family(family))
    for family in (AF_INET, AF_INET6):
        filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socket", _family(family), _type(SOCK_RAW))
    if profile == "setup":
        # Set-up shares the host's network namespace, and with it the host's abstract sockets.
        filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socket", _family(AF_UNIX))
        # A datagram socket of a pair can still send to any name; for AF_UNIX, RAW is DGRAM.
        for kind in (SOCK_DGRAM, SOCK_RAW):
            rule = (_family(AF_UNIX), _type(kind))
            filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socketpair", *rule)
    if profile == "offline":
        # Without a network namespace the filter is all that keeps a command off the network.
        for family in (AF_INET, AF_INET6, AF_NETLINK):
            filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socket", _family(family))
            filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socketpair", _family(family))


def _family(family: int) -> sc.Arg:
    return sc.Arg(0, sc.MASKED_EQ, INT, family)


def _type(kind: int) -> sc.Arg:
    return sc.Arg(1, sc.MASKED_EQ, SOCK_TYPE_MASK, kind)


def _exported(filters: sc.SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("bpf"), "r+b") as file:
        filters.export_bpf(file)
        file.seek(0)
        return file.read()


def _libseccomp() -> str:
    """The library's version (seccomp_version(3))."""

    class Version(ctypes.Structure):
        _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))

    library = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    library.seccomp_version.restype = ctypes.POINTER(Version)
    found = library.seccomp_version().contents
    return f"libseccomp {found.major}.{found.minor}.{found.micro}\n"


def main(folder: Path) -> int:
    """Write all of them, and what they were built with."""
    folder.mkdir(exist_ok=True)
    for architecture, profile in product(ARCHITECTURES, PROFILES):
        data = build(architecture, profile)
        (folder / f"{profile}.{architecture}.bpf").write_bytes(data)
        sys.stdout.write(f"{profile}.{architecture}.bpf {len(data)} bytes\n")
    (folder / "BUILT_WITH").write_text(_libseccomp(), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
