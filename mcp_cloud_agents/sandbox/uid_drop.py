"""The driver for containers without user namespaces: another uid, no privileges, seccomp.

Weaker than bubblewrap, and said to be: level `container`. There are no namespaces, so a command
sees the image's files and the worker's process in /proc, and in the set-up phase it has the
container's network. What keeps it from the worker: another user without any capability, whom the
worker's environment, memory and folders are closed to. What keeps it off the network in the run
phase: a filter that refuses internet sockets, its own loopback's included.

Only in the worker image: its links decide where folders are shown (see `shown_folders`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument, IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import (
    JOB_UID,
    Confinement,
    Enforcement,
    IsolationLevel,
    Network,
    Probe,
)
from mcp_cloud_agents.sandbox import uid_drop_guardian
from mcp_cloud_agents.sandbox.bubblewrap_args import BASE_ENV, CERTIFICATES, SYSTEM_PATH
from mcp_cloud_agents.sandbox.descriptors import memfd
from mcp_cloud_agents.sandbox.processes import users_processes
from mcp_cloud_agents.sandbox.seccomp_profile import seccomp_filter
from mcp_cloud_agents.sandbox.shown_folders import PRIVATE, TOPS, ShownFolders
from mcp_cloud_agents.sandbox.trial import NOTHING, TRIAL_S, trial
from mcp_cloud_agents.sandbox.uid_drop_process import UidDropProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRATCH = "/scratch"
INSIDE = "/scratch/inside"
"""Where the image's links lead."""
_DRIVER = "uid_drop"
_LIMITS = (
    ("wall_clock", Enforcement.HARD),
    ("processes", Enforcement.HARD),
    ("open_files", Enforcement.HARD),
    ("temporary_files", Enforcement.OFF),
    ("log", Enforcement.HARD),
    ("memory", Enforcement.POLLED),
    ("disk", Enforcement.POLLED),
)
NOTES = (
    "No namespaces: commands run as another user in the worker's container and can read what the "
    "image lets everybody read.",
    "The run phase has no internet sockets at all, not even on localhost: a seccomp filter "
    "refuses them.",
    "What set-up made can be written by the command; that copy is this job's alone.",
)
_SHOWN = 500
_LOOK_MS = 10
_SEEN = 9
_CHECK = 'cat "/proc/$1/environ" >/dev/null 2>&1 && exit 9; exit 0'


class UidDrop:
    """`ports.sandbox.Sandbox` by a change of user, for root in a container.

    Args:
        job_uid: user of the commands; nobody else's, and no other process may have it.
        scratch: the worker's folder. Folders in it are moved to where they are shown.
        inside: where the image's links lead, on the same file system as `scratch`.
    """

    level = IsolationLevel.CONTAINER
    parallel = False

    def __init__(
        self, *, job_uid: int = JOB_UID, scratch: str = SCRATCH, inside: str = INSIDE
    ) -> None:
        self._job_uid = job_uid
        self._scratch = scratch
        self._inside = inside

    def probe(self) -> Probe:
        """See the port. A command is started, and it is looked whether it can see the worker."""
        problem, hint = self._problem()
        if not problem:
            try:
                problem = self._try()
            except IsolationUnavailable as exc:
                problem, hint = exc.message, exc.hint
        return Probe(
            level=self.level,
            driver=_DRIVER,
            works=not problem,
            limits=() if problem else _LIMITS,
            problem=problem,
            remedy=hint or ("Look at the container's security options." if problem else ""),
            notes=() if problem else NOTES,
            loopback=False,
        )

    def start(
        self, argv: Sequence[str], confinement: Confinement, *, output: int
    ) -> UidDropProcess:
        """See the port. One command at a time: its end is the end of all its user's processes.

        Raises:
            InvalidArgument: a word of the command or the confinement holds a NUL.
            IsolationUnavailable: not in the worker image, or something cannot be shown.
        """
        shown = ShownFolders(self._inside, self._scratch, self._job_uid)
        if shown.left_by_another():
            self._let_end()
        problem, hint = self._problem()
        if problem:
            raise IsolationUnavailable(problem, hint=hint)
        order = _order(argv, confinement, self._job_uid)
        shown.show(confinement.binds)
        try:
            return self._spawn(order, output, shown)
        except BaseException:
            shown.hide()
            raise

    def real(self, inside: str) -> str:
        """How a command's own kernel calls name a path inside, such as its working folder."""
        return ShownFolders(self._inside, self._scratch, self._job_uid).real(inside)

    def _spawn(self, order: bytes, output: int, shown: ShownFolders) -> UidDropProcess:
        status, status_end = os.pipe2(os.O_CLOEXEC)
        life_end, life = os.pipe2(os.O_CLOEXEC)
        try:
            with memfd(order) as held:
                process = subprocess.Popen(
                    [*_guardian(), str(held), str(status_end), str(life_end)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[held, status_end, life_end],
                    env={"PATH": SYSTEM_PATH},
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as exc:
            os.close(status)
            os.close(life)
            raise IsolationUnavailable(
                f"{sys.executable} cannot be run: {exc.strerror}.", hint="Use the worker image."
            ) from exc
        finally:
            os.close(status_end)
            os.close(life_end)
        return UidDropProcess(process, status, life, shown, sweep=self._sweep, owner=self._job_uid)

    def _let_end(self) -> None:
        """A process that started commands was killed: its guardian is ending them."""
        deadline = time.monotonic() + TRIAL_S
        while users_processes(self._job_uid) and time.monotonic() < deadline:
            select.poll().poll(_LOOK_MS)

    def _sweep(self) -> None:
        """For a guardian that was killed: end what it would have ended."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [*_guardian(), "sweep", str(self._job_uid)],
                stdin=subprocess.DEVNULL,
                env={"PATH": SYSTEM_PATH},
                cwd="/",
                check=False,
                timeout=TRIAL_S,
            )

    def _problem(self) -> tuple[str, str]:
        """What makes it impossible here, and what to do; both empty when nothing does."""
        if sys.platform != "linux" or os.geteuid() != 0:
            return (
                "Changing to another user needs Linux and root.",
                "Run the worker image as its default user.",
            )
        links = {**{f"/{top}": top for top in TOPS}, **{path: to for to, path in PRIVATE.items()}}
        for path, name in links.items():
            if not os.path.islink(path) or os.readlink(path) != os.path.join(self._inside, name):
                return (
                    f"{path} does not lead to {self._inside}/{name}: this is not the worker image.",
                    "Use the worker image, or install bubblewrap where namespaces are allowed.",
                )
        if others := users_processes(self._job_uid):
            return (
                f"Processes {others[:3]} already run as user {self._job_uid}, the jobs' own.",
                "Run one worker in a container, and nothing else under that user.",
            )
        return "", ""

    def _try(self) -> str:
        """What is wrong with a confined command; empty when nothing is."""
        argv = ["/bin/sh", "-c", _CHECK, "sh", str(os.getpid())]
        _, code, said = trial(lambda output: self.start(argv, NOTHING, output=output))
        if code == _SEEN:
            return "A command could read the worker's environment."
        return "" if code == 0 else said[:_SHOWN] or f"ended with {code}"


def _guardian() -> list[str]:
    return [sys.executable, "-I", "-S", str(uid_drop_guardian.__file__)]


def _order(argv: Sequence[str], confinement: Confinement, uid: int) -> bytes:
    """What the guardian is told: everything about the command. Pure but for the filter's file."""
    limits, env = confinement.limits, environment(confinement)
    words = (*argv, confinement.cwd, *env, *env.values())
    if any("\0" in word for word in words):
        raise InvalidArgument(
            "A command, path or variable of the job holds a NUL character.", hint="Take it out."
        )
    order = {
        "argv": list(argv),
        "env": env,
        "cwd": confinement.cwd,
        "uid": uid,
        "limits": {
            "RLIMIT_NPROC": limits.processes,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_MEMLOCK": 65_536,
            "RLIMIT_SIGPENDING": 1_024,
            "RLIMIT_FSIZE": limits.disk_mib << 20,
        },
        "filter": seccomp_filter(confinement.network, namespaces=False).hex(),
    }
    return json.dumps(order).encode()


def environment(confinement: Confinement) -> dict[str, str]:
    """The command's whole environment: a fixed base and what the confinement adds. Pure."""
    env = {"PATH": ":".join((*confinement.path, SYSTEM_PATH)), **BASE_ENV, "PWD": confinement.cwd}
    if confinement.network is Network.HOST and os.path.exists(CERTIFICATES):
        env["SSL_CERT_FILE"] = CERTIFICATES
    return env | dict(confinement.env)
