"""The macOS driver: `sandbox-exec` with a profile of ours. Soft isolation; not run on macOS yet.

There is no pid or mount namespace: a command sees its real host paths, a child that leaves the
process group outlives the job, and neither memory nor processes are limited. All of that is in the
record. Words that are inside paths (`/workspace`, `/env/…`) are rewritten to host paths; inside a
shell command they are not.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import (
    Bind,
    Confinement,
    Enforcement,
    IsolationLevel,
    Network,
    Probe,
)
from mcp_cloud_agents.sandbox.bubblewrap_args import BASE_ENV
from mcp_cloud_agents.sandbox.seatbelt_profile import seatbelt_profile
from mcp_cloud_agents.sandbox.trial import NOTHING, trial

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "/usr/bin/sandbox-exec"
LIMITS = (
    ("wall_clock", Enforcement.HARD),
    ("processes", Enforcement.OFF),
    ("open_files", Enforcement.HARD),
    ("temporary_files", Enforcement.POLLED),
    ("log", Enforcement.HARD),
    ("memory", Enforcement.OFF),
    ("disk", Enforcement.POLLED),
)
_SYSTEM_PATH = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_STARTED = 'printf . >&"$1" && eval "exec $1>&-" && ulimit -n "$2" && ulimit -c 0 && shift 2 && '
_REAP_S = 30.0
_SHOWN = 500


class Seatbelt:
    """`ports.sandbox.Sandbox` by macOS's own sandbox."""

    level = IsolationLevel.SOFT
    parallel = True

    def probe(self) -> Probe:
        """See the port."""
        problem = "" if os.path.exists(PROGRAM) else f"{PROGRAM} does not exist: this is no macOS"
        if not problem:
            problem = self._try()
        return Probe(
            level=self.level,
            driver="seatbelt",
            works=not problem,
            limits=() if problem else LIMITS,
            problem=problem,
            remedy=f"Run `{PROGRAM} -p '(version 1) (allow default)' /usr/bin/true` to see more."
            if problem
            else "",
        )

    def start(
        self, argv: Sequence[str], confinement: Confinement, *, output: int
    ) -> SeatbeltProcess:
        """See the port.

        Raises:
            InvalidArgument: a path cannot stand in a profile.
            IsolationUnavailable: sandbox-exec is missing.
        """
        temporary = os.path.realpath(tempfile.mkdtemp(prefix="mca-"))
        reading, writing = os.pipe()
        try:
            command = command_line(argv, confinement, temporary=temporary, told=writing)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[writing],
                env=environment(confinement, temporary),
                cwd=translated(confinement.cwd, confinement.binds),
                start_new_session=True,
            )
        except OSError as exc:
            os.close(reading)
            shutil.rmtree(temporary, ignore_errors=True)
            raise IsolationUnavailable(
                f"{PROGRAM} cannot be run: {exc.strerror}.", hint="It is part of macOS."
            ) from exc
        finally:
            os.close(writing)
        return SeatbeltProcess(process, reading, temporary)

    def _try(self) -> str:
        """What is wrong with a confined `true`; empty when nothing is."""
        try:
            argv = ["/usr/bin/true"]
            _, code, said = trial(lambda output: self.start(argv, NOTHING, output=output))
        except IsolationUnavailable as exc:
            return exc.message
        return "" if code == 0 else said[:_SHOWN] or f"it ended with {code}"


class SeatbeltProcess:
    """`ports.sandbox.Confined` over a process group.

    Args:
        process: of sandbox-exec, leader of its own session.
        told: reading end of the pipe that gets a byte when the command is about to start.
        temporary: the command's folder for temporary files, removed at the end.
    """

    def __init__(self, process: subprocess.Popen[bytes], told: int, temporary: str) -> None:
        self._process = process
        self._told = told
        self._temporary = temporary
        self._code: int | None = None
        self._end = _end_of(process.pid)

    def fileno(self) -> int:
        """See the port."""
        return self._end

    def pids(self) -> tuple[int, ...]:
        """See the port. The first process only: there is no cheap list of the others here."""
        return () if self._told < 0 else (self._process.pid,)

    def kill(self) -> None:
        """See the port, with one gap: children that left the process group stay."""
        if self._told < 0:  # reaped: the number may be another's by now
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def oom_killed(self) -> bool:
        """See the port. Nothing limits memory here."""
        return False

    def died(self) -> bool:
        """See the port. There is no process of the sandbox's own here."""
        return False

    def wait(self) -> int | None:
        """See the port."""
        if self._told < 0:
            return self._code
        os.set_blocking(self._told, False)
        with contextlib.suppress(subprocess.TimeoutExpired, BlockingIOError):
            code = self._process.wait(_REAP_S)
            self.kill()  # whatever of the group is left
            if os.read(self._told, 1):
                self._code = code if code >= 0 else 128 - code
        for fd in (self._told, self._end):
            os.close(fd)
        self._told = -1
        shutil.rmtree(self._temporary, ignore_errors=True)
        return self._code


def command_line(
    argv: Sequence[str], confinement: Confinement, *, temporary: str, told: int
) -> list[str]:
    """The whole command: the sandbox, a shell that sets soft limits, the command. Pure."""
    binds = tuple(
        Bind(host=os.path.realpath(bind.host), inside=bind.inside, writable=bind.writable)
        for bind in confinement.binds
    )
    profile = seatbelt_profile(binds, confinement.network, temporary=temporary)
    limited = ["/bin/sh", "-c", f'{_STARTED}exec "$@"', "sh", str(told)]
    words = [translated(word, confinement.binds) for word in argv]
    return [PROGRAM, "-p", profile, *limited, str(confinement.limits.open_files), *words]


def environment(confinement: Confinement, temporary: str) -> dict[str, str]:
    """The command's environment: a fixed base and what the confinement adds. Pure."""
    folders = [translated(folder, confinement.binds) for folder in confinement.path]
    env = BASE_ENV | {
        "PATH": ":".join((*folders, _SYSTEM_PATH)),
        "HOME": temporary,
        "TMPDIR": temporary,
        "LANG": "en_US.UTF-8",
    }
    if confinement.network is Network.HOST:
        env["SSL_CERT_FILE"] = "/private/etc/ssl/cert.pem"
    return env | {name: translated(value, confinement.binds) for name, value in confinement.env}


def translated(word: str, binds: Sequence[Bind]) -> str:
    """A word that is a path inside, as the host path; any other word as it is. Last bind wins."""
    for bind in reversed(binds):
        if word == bind.inside or word.startswith(bind.inside + "/"):
            return os.path.realpath(bind.host) + word.removeprefix(bind.inside)
    return word


def _end_of(pid: int) -> int:
    """A descriptor that becomes readable when the process has ended."""
    if sys.platform != "darwin":
        return os.pidfd_open(pid)
    queue = select.kqueue()
    event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
    try:
        queue.control([event], 0)
    except ProcessLookupError:  # ended before it could be watched: a pipe at its end is readable
        reading, writing = os.pipe()
        os.close(writing)
        return reading
    else:
        return os.dup(queue.fileno())
    finally:
        queue.close()
