"""The bubblewrap driver: namespaces, an empty root, seccomp; Linux, full isolation.

Never as host uid 0: mapped to an ordinary uid inside, root is still root to /proc/sys, which is
code execution on the host. When this process is root, bubblewrap is started as another user.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import (
    JOB_UID,
    Confinement,
    Enforcement,
    IsolationLevel,
    Limits,
    Network,
    Probe,
)
from mcp_cloud_agents.sandbox import cgroup
from mcp_cloud_agents.sandbox.bubblewrap_args import (
    CERTIFICATES,
    SYSTEM_PATH,
    Descriptors,
    Host,
    bubblewrap_args,
    limited,
)
from mcp_cloud_agents.sandbox.confined_process import ConfinedProcess
from mcp_cloud_agents.sandbox.remedies import remedy
from mcp_cloud_agents.sandbox.seccomp_profile import seccomp_filter

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

LIMITS = (
    ("wall_clock", Enforcement.HARD),
    ("processes", Enforcement.HARD),
    ("open_files", Enforcement.HARD),
    ("temporary_files", Enforcement.HARD),
    ("log", Enforcement.HARD),
    ("memory", Enforcement.POLLED),
    ("disk", Enforcement.POLLED),
)
_PASSWD = b"root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n"
_GROUP = b"root:x:0:\nagent:x:1000:\n"
_HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n"
_SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_PROBE_S = 20.0


class Bubblewrap:
    """`ports.sandbox.Sandbox` by the distribution's `bwrap` program.

    Args:
        program: path of bwrap; None: looked for in the system's folders.
        job_uid: host user of commands when this process is root; None: JOB_UID.
    """

    level = IsolationLevel.FULL

    def __init__(self, program: str | None = None, *, job_uid: int | None = None) -> None:
        self._program = program or shutil.which("bwrap", path=SYSTEM_PATH)
        self._job_uid = JOB_UID if job_uid is None else job_uid

    def probe(self) -> Probe:
        """See the port."""
        if self._program is None:
            return self._broken("the program bwrap (bubblewrap) is not installed", "bubblewrap")
        confinement = Confinement(binds=(), limits=Limits(), cwd="/")
        try:
            code, said = self._try(confinement)
        except (OSError, IsolationUnavailable) as exc:
            return self._broken(str(exc), self._version())
        if code != 0:
            return self._broken(said or f"it ended with {code}", self._version())
        return Probe(level=self.level, driver=self._version(), works=True, limits=LIMITS)

    def start(
        self, argv: Sequence[str], confinement: Confinement, *, output: int
    ) -> ConfinedProcess:
        """See the port. Only from a thread that outlives the command: bwrap dies with it."""
        if self._program is None:
            raise IsolationUnavailable(
                "The program bwrap (bubblewrap) is not installed.",
                hint=remedy("not installed"),
            )
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            with _descriptors(confinement.network, writing) as fds:
                process = self._spawn(argv, confinement, fds, output)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return ConfinedProcess(process, reading)

    def _spawn(
        self, argv: Sequence[str], confinement: Confinement, fds: Descriptors, output: int
    ) -> subprocess.Popen[bytes]:
        args = b"\0".join(map(os.fsencode, bubblewrap_args(confinement, _host(), fds))) + b"\0"
        with _memfd(args) as args_fd:  # host paths stay out of /proc/1/cmdline inside
            return subprocess.Popen(
                [str(self._program), "--args", str(args_fd), "--", *limited((*argv,), confinement)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[args_fd, fds.seccomp, fds.status, *fds.etc.values()],
                # /proc/1/environ inside shows what bwrap was started with, so: nothing.
                env={"PATH": SYSTEM_PATH},
                cwd="/",
                start_new_session=True,
                **self._dropped(),
            )

    def _dropped(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        return {"user": self._job_uid, "group": self._job_uid, "extra_groups": []}

    def _try(self, confinement: Confinement) -> tuple[int | None, str]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                process = self.start(["/bin/true"], confinement, output=writing)
            finally:
                os.close(writing)
            ready, _, _ = select.select([process.fileno()], [], [], _PROBE_S)
            if not ready:
                process.kill()
            code = process.wait()
            os.set_blocking(reading, False)
            with contextlib.suppress(BlockingIOError):
                return code, os.read(reading, 4_096).decode("utf-8", "replace").strip()
            return code, ""
        finally:
            os.close(reading)

    def _version(self) -> str:
        try:
            done = subprocess.run(
                [str(self._program), "--version"],
                capture_output=True,
                text=True,
                timeout=_PROBE_S,
                check=True,
                env={"PATH": SYSTEM_PATH},
            )
        except (OSError, subprocess.SubprocessError):
            return "bubblewrap"
        return done.stdout.strip()[:60] or "bubblewrap"

    def _broken(self, problem: str, driver: str) -> Probe:
        return Probe(
            level=self.level,
            driver=driver,
            works=False,
            problem=problem[:500],
            remedy=remedy(problem),
        )


def _host() -> Host:
    folders = [
        (folder, os.readlink(folder) if os.path.islink(folder) else None)
        for folder in _SYSTEM_FOLDERS
        if os.path.lexists(folder)
    ]
    return Host(system_folders=tuple(folders), certificates=os.path.exists(CERTIFICATES))


@contextlib.contextmanager
def _descriptors(network: Network, status: int) -> Generator[Descriptors]:
    with contextlib.ExitStack() as stack:
        etc = {name: stack.enter_context(_memfd(data)) for name, data in _etc(network).items()}
        seccomp = stack.enter_context(_memfd(seccomp_filter(network)))
        yield Descriptors(seccomp=seccomp, status=status, etc=etc)


def _etc(network: Network) -> dict[str, bytes]:
    files = {"passwd": _PASSWD, "group": _GROUP, "hosts": _HOSTS.encode(), "resolv.conf": b""}
    if network is Network.HOST:
        files["hosts"] += f"127.0.1.1 {socket.gethostname()}\n".encode()
        with contextlib.suppress(OSError), open("/etc/resolv.conf", "rb") as file:
            files["resolv.conf"] = file.read(65_536)
    return files


@contextlib.contextmanager
def _memfd(data: bytes) -> Generator[int]:
    """A descriptor that holds `data`, readable from its start, inheritable."""
    fd = os.memfd_create("sandbox", 0)
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
