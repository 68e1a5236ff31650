"""From a confinement to bubblewrap's arguments. Pure: the same confinement, the same arguments.

Deny by default: the root is an empty tmpfs; what is not named here or in the confinement does not
exist inside. Order matters: binds first, `--remount-ro` last: the tmpfs of / and /dev has no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.sandbox import Confinement, Network

ETC_ALLOWED = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf"),
    *("pki", "localtime", "nsswitch.conf", "mime.types", "protocols", "services"),
)
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASE_ENV = {
    "HOME": "/home/agent",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",  # noqa: S108  a private tmpfs inside
    "USER": "agent",
    "CI": "1",
    "NO_COLOR": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
}
PRIVATE_TMPFS = ("/dev/shm", "/tmp", "/home/agent")  # noqa: S108  private ones inside
_INIT_HIDDEN = (
    *("--perms", "0555", "--size", "4096", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"),
)
"""The first process inside is bubblewrap, same user and no seccomp filter: who may write its
/proc/1/mem runs code without the filter, and may tell the exit code."""
GATE = 'read -r _ && exec "$@" </dev/null'
_PRLIMIT = "/usr/bin/prlimit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What of the host's layout the arguments depend on."""

    system_folders: tuple[tuple[str, str | None], ...]
    """Of /bin, /sbin, /lib, /lib64: the link's target on merged systems, None for a folder."""
    certificates: bool
    """Whether the bundle of certificate authorities is at its usual place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """Numbers of descriptors that bubblewrap inherits."""

    seccomp: int
    status: int
    etc: Mapping[str, int]
    """File name in /etc to the descriptor that holds its content."""


def bubblewrap_args(confinement: Confinement, host: Host, fds: Descriptors) -> list[str]:
    """Arguments of `bwrap`, without the program and the command.

    Raises:
        InvalidArgument: a word holds a NUL; after it, bwrap would read arguments of its own.
    """
    args = [
        *_namespaces(confinement.network),
        *_system(host, fds.etc),
        *_private(confinement),
        *_binds(confinement),
        *("--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--dir", "/run"),  # noqa: S108  inside
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", confinement.cwd),
        *_environment(confinement, host),
        *("--seccomp", str(fds.seccomp), "--json-status-fd", str(fds.status)),
    ]
    return _without_nul(args)


def limited(argv: tuple[str, ...], confinement: Confinement) -> list[str]:
    """The command behind its resource limits, set inside: there they count this sandbox alone.

    Raises:
        InvalidArgument: a word holds a NUL.
    """
    limits = confinement.limits
    args = [
        _PRLIMIT,
        f"--nproc={limits.processes}:{limits.processes}",
        f"--nofile={limits.open_files}:{limits.open_files}",
        *("--core=0:0", "--msgqueue=0:0", "--memlock=65536:65536", "--sigpending=1024:1024"),
        f"--fsize={limits.disk_mib << 20}:{limits.disk_mib << 20}",
        "--",
        *argv,
    ]
    return _without_nul(args)


def gated(command: list[str]) -> list[str]:
    """The command behind a gate: it starts at a line on stdin, and never at its end.

    Until its first process waits, a sandbox outlives a bubblewrap that is killed. At the end of
    the supervisor the gate's writing end closes, so what had not started yet does not start.
    """
    return ["/bin/sh", "-c", GATE, "sh", *command]


def _namespaces(network: Network) -> list[str]:
    return [
        *("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", *(("--unshare-net",) if network is Network.NONE else ())),
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    ]


def _system(host: Host, etc: Mapping[str, int]) -> list[str]:
    args = ["--tmpfs", "/", "--ro-bind", "/usr", "/usr"]
    for folder, target in host.system_folders:
        args += ["--symlink", target, folder] if target else ["--ro-bind-try", folder, folder]
    args += ["--perms", "0755", "--dir", "/etc"]
    for name in ETC_ALLOWED:
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name, fd in etc.items():
        args += ["--perms", "0444", "--ro-bind-data", str(fd), f"/etc/{name}"]
    return [*args, "--proc", "/proc", *_INIT_HIDDEN, "--dev", "/dev"]


def _private(confinement: Confinement) -> list[str]:
    size = str(confinement.limits.tmp_mib << 20)
    return [word for path in PRIVATE_TMPFS for word in ("--size", size, "--tmpfs", path)]


def _binds(confinement: Confinement) -> list[str]:
    args: list[str] = []
    for bind in confinement.binds:
        args += ["--bind" if bind.writable else "--ro-bind", bind.host, bind.inside]
    size = str(confinement.limits.tmp_mib << 20)
    for path in confinement.tmpfs:
        args += ["--size", size, "--tmpfs", path]
    return args


def _environment(confinement: Confinement, host: Host) -> list[str]:
    env = {"PATH": ":".join((*confinement.path, SYSTEM_PATH)), **BASE_ENV}
    if confinement.network is Network.HOST and host.certificates:
        env["SSL_CERT_FILE"] = CERTIFICATES
    env.update(confinement.env)
    return [word for name, value in env.items() for word in ("--setenv", name, value)]


def _without_nul(words: list[str]) -> list[str]:
    if any("\0" in word for word in words):
        raise InvalidArgument(
            "A command, path or variable of the job holds a NUL character.", hint="Take it out."
        )
    return words
