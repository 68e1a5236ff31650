"""The bubblewrap driver: namespaces, an empty root, seccomp; Linux, full isolation.

Never as host uid 0: mapped to an ordinary uid inside, root is still root to /proc/sys, which is
code execution on the host. When this process is root, bubblewrap is started as another user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import (
    JOB_UID,
    Confinement,
    Enforcement,
    IsolationLevel,
    Limits,
    Probe,
)
from mcp_cloud_agents.sandbox import cgroup
from mcp_cloud_agents.sandbox.bubblewrap_args import (
    CERTIFICATES,
    SYSTEM_PATH,
    Host,
    bubblewrap_args,
    gated,
    limited,
)
from mcp_cloud_agents.sandbox.confined_process import ConfinedProcess
from mcp_cloud_agents.sandbox.descriptors import descriptors, memfd
from mcp_cloud_agents.sandbox.left_behind import end_left_behind
from mcp_cloud_agents.sandbox.mount_points import check_mount_points
from mcp_cloud_agents.sandbox.remedies import remedy
from mcp_cloud_agents.sandbox.trial import NOTHING, TRIAL_S, trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.sandbox.bubblewrap_args import Descriptors
    from mcp_cloud_agents.sandbox.cgroup import Cgroup

_LIMITS = (
    ("wall_clock", Enforcement.HARD),
    ("processes", Enforcement.HARD),
    ("open_files", Enforcement.HARD),
    ("temporary_files", Enforcement.HARD),
    ("log", Enforcement.HARD),
)
_SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_NOT_INSTALLED = "The program bwrap (bubblewrap) is not installed."
_SHOWN = 500


class Bubblewrap:
    """`ports.sandbox.Sandbox` by the distribution's `bwrap` program.

    Args:
        program: absolute path of bwrap; None: looked for in the system's folders.
        job_uid: host user of commands when this process is root; None: JOB_UID.
        groups: whether control groups hold the limits where they can be made.
    """

    level = IsolationLevel.FULL
    parallel = True

    def __init__(
        self, program: str | None = None, *, job_uid: int | None = None, groups: bool = True
    ) -> None:
        self._program = program or shutil.which("bwrap", path=SYSTEM_PATH)
        self._setpriv = shutil.which("setpriv", path=SYSTEM_PATH)
        self._job_uid = JOB_UID if job_uid is None else job_uid
        self._groups = groups
        self._grouped = groups
        self._promised = False
        """Whether the probe said that the kernel limits memory."""

    def probe(self) -> Probe:
        """See the port. Control groups that cannot be entered are given up, and said to be."""
        if self._program is None:
            return self._broken(_NOT_INSTALLED, "bubblewrap")
        driver = self._version(self._program)
        self._grouped = self._groups
        end_left_behind()
        try:
            code, said, hard = self._try()
            if code != 0 and hard:
                self._grouped = False
                code, said, hard = self._try()
        except IsolationUnavailable as exc:
            return self._broken(exc.message, driver, exc.hint)
        if code != 0:
            return self._broken(said or f"bwrap ended with {code}", driver)
        self._promised = hard
        memory = Enforcement.HARD if hard else Enforcement.POLLED
        limits = (*_LIMITS, ("memory", memory), ("disk", Enforcement.POLLED))
        return Probe(level=self.level, driver=driver, works=True, limits=limits)

    def start(
        self, argv: Sequence[str], confinement: Confinement, *, output: int
    ) -> ConfinedProcess:
        """See the port. Only from a thread that outlives the command: bwrap dies with it.

        Raises:
            InvalidArgument: a word of the command or the confinement holds a NUL.
            IsolationUnavailable: bwrap is missing or cannot be run, a limit that the probe
                promised cannot be set, or a mount point leads through a link.
        """
        if self._program is None:
            raise IsolationUnavailable(_NOT_INSTALLED, hint=remedy(_NOT_INSTALLED))
        check_mount_points(confinement)
        status, status_end = _status_pipe()
        gate_end, gate = os.pipe2(os.O_CLOEXEC)
        group = None
        try:
            group = self._group(confinement.limits)
            with descriptors(confinement.network, status_end) as fds:
                args = bubblewrap_args(confinement, _host(), fds)
                command = gated(limited((*argv,), confinement))
                process = self._spawn(args, command, fds, (gate_end, output), group)
        except BaseException:
            os.close(status)
            os.close(gate)
            if group is not None:
                group.remove()
            raise
        finally:
            os.close(status_end)
            os.close(gate_end)
        return ConfinedProcess(process, status, group, gate)

    def _spawn(
        self,
        args: list[str],
        command: list[str],
        fds: Descriptors,
        ends: tuple[int, int],
        group: Cgroup | None,
    ) -> subprocess.Popen[bytes]:
        with memfd(_words(args)) as args_fd:  # host paths stay out of /proc/1/cmdline inside
            bwrap = [str(self._program), "--args", str(args_fd), "--", *command]
            argv, user = self._dropped(bwrap, group)
            try:
                return subprocess.Popen(
                    argv,
                    stdin=ends[0],
                    stdout=ends[1],
                    stderr=ends[1],
                    pass_fds=[args_fd, fds.seccomp, fds.status, *fds.etc.values()],
                    # /proc/1/environ inside shows what bwrap was started with, so: nothing.
                    env={"PATH": SYSTEM_PATH},
                    cwd="/",
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else (),
                )
            except OSError as exc:
                raise IsolationUnavailable(
                    f"{self._program} cannot be run: {exc.strerror}.", hint=remedy(str(exc))
                ) from exc

    def _group(self, limits: Limits) -> Cgroup | None:
        if not self._grouped or (os.geteuid() == 0 and self._setpriv is None):
            return None
        group = cgroup.make(limits)
        if group is None and self._promised:  # the record of the job says hard: never less
            raise IsolationUnavailable(
                "The control group that limits memory cannot be made any more.",
                hint="Submit the job again; `mcp-cloud-agents doctor` tells what works now.",
            )
        return group

    def _dropped(self, bwrap: list[str], group: Cgroup | None) -> tuple[list[str], int | None]:
        """The whole command, and the user that Popen changes to, so that bwrap is never root.

        A group is entered by root, before the user changes; afterwards it could not be.
        """
        root, uid = os.geteuid() == 0, str(self._job_uid)
        if group is None:
            return bwrap, self._job_uid if root else None
        if not root:
            return group.joining(bwrap), None
        setpriv = [str(self._setpriv), "--reuid", uid, "--regid", uid, "--clear-groups", "--"]
        return group.joining([*setpriv, *bwrap]), None

    def _try(self) -> tuple[int | None, str, bool]:
        """Exit code of a sandboxed `true`, what was said, and whether limits were the kernel's."""
        process, code, said = trial(
            lambda output: self.start(["/bin/true"], NOTHING, output=output)
        )
        return code, said, process.grouped

    def _version(self, program: str) -> str:
        try:
            done = subprocess.run(
                [program, "--version"],
                capture_output=True,
                text=True,
                timeout=TRIAL_S,
                check=True,
                env={"PATH": SYSTEM_PATH},
            )
        except (OSError, subprocess.SubprocessError):
            return "bubblewrap"
        return done.stdout.strip()[:60] or "bubblewrap"

    def _broken(self, problem: str, driver: str, hint: str = "") -> Probe:
        return Probe(
            level=self.level,
            driver=driver,
            works=False,
            problem=problem[:_SHOWN],
            remedy=hint or remedy(problem, driver),
        )


def _status_pipe() -> tuple[int, int]:
    """Reading end, and one for bubblewrap that both reads and writes.

    With a mere writing end, the signal for a pipe that nobody reads kills a bubblewrap whose
    supervisor was just killed, and its half-made sandbox waits for it for ever.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        return reading, os.open(f"/proc/self/fd/{writing}", os.O_RDWR | os.O_CLOEXEC)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)


def _host() -> Host:
    folders = [
        (folder, os.readlink(folder) if os.path.islink(folder) else None)
        for folder in _SYSTEM_FOLDERS
        if os.path.lexists(folder)
    ]
    return Host(system_folders=tuple(folders), certificates=os.path.exists(CERTIFICATES))


def _words(args: list[str]) -> bytes:
    """The form that `--args` reads: each word ended by a NUL."""
    return b"".join(os.fsencode(word) + b"\0" for word in args)
