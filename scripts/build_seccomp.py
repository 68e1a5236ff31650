"""Writes the seccomp filters that ship in `mcp_cloud_agents/sandbox/seccomp/`.

Run it after a change: `.venv/bin/python scripts/build_seccomp.py`. A test builds them again and
compares. The lists follow facts about kernel surface that a test suite never needs: mounts and
namespaces, other processes, kernel interfaces, the machine itself, odd socket families.
"""

from __future__ import annotations

import errno
import sys
from itertools import product
from pathlib import Path

import pyseccomp as sc

FOLDER = Path(__file__).resolve().parent.parent / "mcp_cloud_agents/sandbox/seccomp"
ARCHITECTURES = {"x86_64": sc.Arch.X86_64, "aarch64": sc.Arch.AARCH64}
PROFILES = ("run", "setup")

DENIED = (
    # mounts and namespaces
    *(
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsmount",
        "fsconfig",
        "fspick",
        "mount_setattr",
        "unshare",
        "setns",
    ),
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    # kernel surface
    *(
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "keyctl",
        "add_key",
        "request_key",
        "open_by_handle_at",
        "name_to_handle_at",
        "memfd_secret",
        "fanotify_init",
        "vmsplice",
        "mbind",
        "move_pages",
        "lookup_dcookie",
        "quotactl",
        "quotactl_fd",
        "syslog",
        "acct",
    ),
    # the machine
    *(
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "swapon",
        "swapoff",
        "reboot",
        "iopl",
        "ioperm",
        "clock_settime",
        "settimeofday",
        "adjtimex",
        "vhangup",
        "uselib",
        "nfsservctl",
    ),
)
# The CLONE_NEW* flags of sched.h: user, mount, pid, net, ipc, uts, cgroup
NAMESPACES = (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000)
TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
FAMILIES = frozenset(range(48)) - {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}
SOCK_TYPE_MASK, SOCK_RAW = 0xF, 3


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
        filters.add_rule(
            sc.ERRNO(errno.EPERM), "ioctl", sc.Arg(1, sc.MASKED_EQ, 0xFFFFFFFF, request)
        )
    for call, family in product(("socket", "socketpair"), sorted(FAMILIES)):
        filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), call, sc.Arg(0, sc.EQ, family))
    for family in (AF_INET, AF_INET6):
        filters.add_rule(
            sc.ERRNO(errno.EAFNOSUPPORT),
            "socket",
            sc.Arg(0, sc.EQ, family),
            sc.Arg(1, sc.MASKED_EQ, SOCK_TYPE_MASK, SOCK_RAW),
        )
    if profile == "setup":
        # Set-up shares the host's network namespace, and with it the host's abstract sockets.
        filters.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socket", sc.Arg(0, sc.EQ, AF_UNIX))
    return _exported(filters)


def _exported(filters: sc.SyscallFilter) -> bytes:
    import os

    fd = os.memfd_create("bpf")
    with os.fdopen(fd, "r+b") as file:
        filters.export_bpf(file)
        file.seek(0)
        return file.read()


def main() -> int:
    """Write all four."""
    FOLDER.mkdir(exist_ok=True)
    for architecture, profile in product(ARCHITECTURES, PROFILES):
        data = build(architecture, profile)
        (FOLDER / f"{profile}.{architecture}.bpf").write_bytes(data)
        sys.stdout.write(f"{profile}.{architecture}.bpf {len(data)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
