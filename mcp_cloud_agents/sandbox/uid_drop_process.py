"""A running command of the uid drop: its process tree, its end, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from typing import TYPE_CHECKING

from mcp_cloud_agents.sandbox.processes import descendants
from mcp_cloud_agents.storage.trees import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.sandbox.shown_folders import ShownFolders

_REAP_S = 30.0
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  the container's; only looked through
_OOM_COUNTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
"""Of the container itself, version 2 and version 1."""
_KILLED = 137


class UidDropProcess:
    """`ports.sandbox.Confined` over a guardian (see `uid_drop_guardian`).

    Args:
        process: the guardian.
        status: reading end of the pipe it tells the exit code by, owned from now on.
        life: closed, the command is killed; owned from now on.
        shown: what has to be hidden again at the end.
        sweep: ends all processes of the jobs' user; only needed when the guardian was killed.
        owner: the jobs' user.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        status: int,
        life: int,
        shown: ShownFolders,
        *,
        sweep: Callable[[], None],
        owner: int,
    ) -> None:
        self._process = process
        self._status = status
        self._life = life
        self._shown = shown
        self._sweep = sweep
        self._owner = owner
        self._pidfd = os.pidfd_open(process.pid)
        self._kills = _oom_kills()
        self._ended = False
        self._code: int | None = None
        self._oom_killed = False

    def fileno(self) -> int:
        """See the port."""
        return self._pidfd

    def pids(self) -> tuple[int, ...]:
        """See the port."""
        return () if self._ended else descendants(self._process.pid)

    def kill(self) -> None:
        """See the port. The guardian does it, and ends after everybody else."""
        if self._life >= 0:
            os.close(self._life)
            self._life = -1

    def oom_killed(self) -> bool:
        """See the port. Known at the end: the container's count says not whose process it was."""
        return self._oom_killed

    def died(self) -> bool:
        """See the port."""
        return (self._process.returncode or 0) < 0

    def wait(self) -> int | None:
        """See the port."""
        if not self._ended:
            self._reap()
        return self._code

    def _reap(self) -> None:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(_REAP_S * 1000):
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_S)
        self.kill()
        if self._process.returncode != 0:
            self._sweep()
        with os.fdopen(self._status, "rb") as told:
            self._code = _exit_code(told.read(256))
        os.close(self._pidfd)
        self._ended = True
        self._oom_killed = self._code == _KILLED and _oom_kills() > self._kills
        self._shown.hide()
        self._clear_shared_memory()

    def _clear_shared_memory(self) -> None:
        """What the command left there would be seen by the next one, and takes memory."""
        with contextlib.suppress(OSError), os.scandir(_SHARED_MEMORY) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_uid != self._owner:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)


def _exit_code(said: bytes) -> int | None:
    """What the guardian told; None when the command never started, or the guardian was killed."""
    try:
        return int(json.loads(said)["exit-code"])
    except (ValueError, KeyError):
        return None


def _oom_kills() -> int:
    """How many processes of this container the kernel has ended for memory."""
    for path in _OOM_COUNTS:
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    return 0
