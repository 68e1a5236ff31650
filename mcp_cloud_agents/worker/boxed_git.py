"""Git inside a sandbox, for trees that a job may have touched.

Inside: `/git` is a git dir of ours that the job never sees, `/workspace` the job's tree, `/store`
the object store, read-only. The job's own `.git`, hooks, filters and attributes decide nothing:
git is told its git dir, and info/attributes there outranks the tree's. Large answers come back as
files in `/git`; what they hold is data.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_cloud_agents.domain.errors import BackendFailed, IsolationUnavailable
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, Limits
from mcp_cloud_agents.ports.sandbox import Sandbox
from mcp_cloud_agents.snapshots.git import PRIVATE_CONFIG, RAW_ATTRIBUTES, failure
from mcp_cloud_agents.storage.files import write_all
from mcp_cloud_agents.worker.run import Watch, run

_ENV = (
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_DIR", "/git"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_WORK_TREE", "/workspace"),
    ("LC_ALL", "C"),
)
_CONFIG = (
    *PRIVATE_CONFIG,
    ("core.bare", "false"),
    ("core.excludesFile", "/dev/null"),
    ("core.fileMode", "true"),
    ("core.fsync", "none"),
    ("core.repositoryFormatVersion", "1"),
)
_SAID_BYTES = 65_536
_TOO_LARGE = 128 + 25
"""SIGXFSZ: more than `ulimit -f` allowed."""


class GitStopped(BackendFailed):
    """Git was ended from outside.

    Attributes:
        kind: CANCELLED, TIMEOUT, OOM or DISK.
    """

    def __init__(self, kind: CauseKind) -> None:
        super().__init__(f"git was stopped: {_STOPPED[kind]}.", hint=_HINTS[kind])
        self.kind = kind


_STOPPED = {
    CauseKind.CANCELLED: "the job was cancelled",
    CauseKind.TIMEOUT: "it took longer than it may",
    CauseKind.OOM: "it used too much memory",
    CauseKind.DISK: "it wrote too much to disk",
}
_HINTS = {
    CauseKind.CANCELLED: "Submit it again when it is wanted.",
    CauseKind.TIMEOUT: "Look at the tree's size and at this machine's load; then submit it again.",
    CauseKind.OOM: "Look at the tree's size.",
    CauseKind.DISK: "Look at the tree's size.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxedGit:
    """Git on one job's workspace.

    Attributes:
        sandbox: confines the commands.
        git_dir: host folder of our git dir for this job.
        store: host path of the repository's object store.
        workspace: host folder of the job's tree.
        owner: uid that sandboxed commands have on the host; None: this process's.
        limits: of each call; not the job's: tightened ones must not cost it its patch.
        timeout_s: of each call.
        deadline: of all calls together, by the monotonic clock.
        cancelled: asked about every 50 ms while git works; True ends it.
        tick: called as often.
    """

    sandbox: Sandbox
    git_dir: str
    store: str
    workspace: str
    owner: int | None
    limits: Limits = field(default_factory=Limits)
    timeout_s: float = 300.0
    deadline: float = float("inf")
    cancelled: Callable[[], bool] = lambda: False
    tick: Callable[[], None] = lambda: None

    def prepare(self, object_format: str) -> None:
        """Make the git dir and the empty workspace, owned by whoever works in them."""
        for name in ("", "objects", "objects/info", "objects/pack", "refs", "info"):
            self._folder(os.path.join(self.git_dir, name))
        self._folder(self.workspace)
        self.give("HEAD", b"ref: refs/heads/none\n")
        self.give("config", _config(object_format))
        self.give("info/attributes", RAW_ATTRIBUTES.encode())
        self.give("objects/info/alternates", b"/store/objects\n")

    def run(self, script: str, *, writable: bool = False, timeout_s: float | None = None) -> bytes:
        """Run shell lines at the top of the tree.

        Args:
            script: for `sh -e`; nothing of the job may be part of it.
            writable: whether the workspace may be written.
            timeout_s: shorter than usual.

        Returns:
            What was said on stdout and stderr, at most 64 KiB.

        Raises:
            IsolationUnavailable: the sandbox did not start.
            GitStopped: the job was cancelled, the time is up, or a limit was reached.
            NoSpace, UnreadableTree, BackendFailed: git failed.
        """
        self.check()
        said = bytearray()
        ran = run(
            self.sandbox,
            ("/bin/sh", "-ec", script),
            self._confinement(writable=writable),
            sink=lambda data: said.extend(data[: _SAID_BYTES - len(said)]),
            watch=Watch(
                timeout_s=min(timeout_s or self.timeout_s, self.deadline - time.monotonic()),
                disk=(self.git_dir,),
                cancelled=self.cancelled,
                tick=self.tick,
            ),
        )
        if ran.stopped is not None:
            raise GitStopped(ran.stopped)
        if ran.exit_code is None:
            raise IsolationUnavailable(
                f"The sandbox for git did not start: {said.decode('utf-8', 'replace')[:300]}",
                hint="Run `mcp-cloud-agents doctor`.",
            )
        if ran.exit_code == _TOO_LARGE:
            raise BackendFailed("git's answer is too large.", hint="Look at the tree's size.")
        if ran.exit_code:
            raise failure("in the sandbox", bytes(said))
        return bytes(said)

    def check(self) -> None:
        """For our own loops between git's: raise GitStopped when they must end."""
        if self.cancelled():
            raise GitStopped(CauseKind.CANCELLED)
        if time.monotonic() > self.deadline:
            raise GitStopped(CauseKind.TIMEOUT)
        self.tick()

    def give(self, name: str, data: bytes) -> None:
        """Put a file into the git dir; a name left there before is replaced, never followed."""
        path = os.path.join(self.git_dir, name)
        if os.path.lexists(path):
            os.unlink(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            if self.owner is not None:
                os.fchown(fd, self.owner, self.owner)
            write_all(fd, data)
        finally:
            os.close(fd)

    def open(self, name: str) -> int:
        """Descriptor of a regular file in the git dir.

        Raises:
            BackendFailed: it is something else, or missing.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(os.path.join(self.git_dir, name), flags)
        except OSError as exc:
            raise BackendFailed(f"git left no {name}.", hint="Submit the job again.") from exc
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise BackendFailed(f"git left no file {name}.", hint="Submit the job again.")
        return fd

    def take(self, name: str, *, limit: int = 256 << 20) -> bytes:
        """Content of a file in the git dir."""
        with os.fdopen(self.open(name), "rb") as file:
            return file.read(limit)

    def _folder(self, path: str) -> None:
        os.makedirs(path, mode=0o700, exist_ok=True)
        if self.owner is not None:
            os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def _confinement(self, *, writable: bool) -> Confinement:
        return Confinement(
            binds=(
                Bind(host=self.store, inside="/store"),
                Bind(host=self.git_dir, inside="/git", writable=True),
                Bind(host=self.workspace, inside="/workspace", writable=writable),
            ),
            limits=self.limits,
            env=_ENV,
        )


def _config(object_format: str) -> bytes:
    settings = (*_CONFIG, ("extensions.objectFormat", object_format))
    lines = (f"[{key.split('.')[0]}]\n\t{key.split('.')[1]} = {value}\n" for key, value in settings)
    return "".join(lines).encode()
