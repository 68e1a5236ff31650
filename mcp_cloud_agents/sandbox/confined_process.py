"""A running bubblewrap: its process tree, its end, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.sandbox.processes import descendants, parent, sleeps_with_child

if TYPE_CHECKING:
    from mcp_cloud_agents.sandbox.cgroup import Cgroup

_TOLD_S = 10.0
"""bubblewrap tells its child's pid about 3 ms after it was started."""
_STEP_S = 0.0005
_REAP_S = 30.0
_MAX_STATUS_BYTES = 65_536


class ConfinedProcess:
    """`ports.sandbox.Confined` over bubblewrap.

    Args:
        process: of bubblewrap itself.
        status: reading end of its `--json-status-fd`, owned from now on. The command does not
            inherit the other end, so it can forge nothing of what is read there.
        group: the control group it runs in, owned from now on; None where there is none.
        gate: a line written here lets the command start, owned from now on; None: it has started.

    Attributes:
        grouped: whether it runs in a control group.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        status: int,
        group: Cgroup | None = None,
        gate: int | None = None,
    ) -> None:
        self._process = process
        self._status = status
        os.set_blocking(status, False)
        self._said = b""
        self._ended = False
        self._group = group
        self.grouped = group is not None
        self._oom_killed = False
        self._pidfd = os.pidfd_open(process.pid)
        self._init: int | None = None
        self._init_pidfd = -1
        self._meet_init()
        if gate is not None:
            self._open(gate)

    def fileno(self) -> int:
        """See the port."""
        return self._pidfd

    def pids(self) -> tuple[int, ...]:
        """See the port. Of a process that ended no children are listed, so no foreign pid is."""
        return () if self._ended else descendants(self._process.pid)

    def kill(self) -> None:
        """See the port. The end of the first process of a pid namespace ends all others in it.

        bubblewrap itself then tells the exit code and ends; it is only killed when there is no
        first process, or in `wait` when it does not end.
        """
        if self._ended:
            return
        if self._init_pidfd < 0:
            self._process.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init_pidfd, signal.SIGKILL)

    def oom_killed(self) -> bool:
        """See the port."""
        if self._group is not None:
            self._oom_killed = self._oom_killed or self._group.oom_killed()
        return self._oom_killed

    def died(self) -> bool:
        """See the port."""
        return (self._process.returncode or 0) < 0

    def wait(self) -> int | None:
        """See the port. When it returns, no process of the command is left."""
        if not self._ended:
            self._reap()
        return next((line["exit-code"] for line in self._lines() if "exit-code" in line), None)

    def _reap(self) -> None:
        if not _readable(self._pidfd, _REAP_S):
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: left behind
            self._process.wait(_REAP_S)
        if self._init_pidfd >= 0:
            # Dies with bubblewrap, and last of its namespace (pid_namespaces(7)).
            _readable(self._init_pidfd, _REAP_S)
            os.close(self._init_pidfd)
        self._read()
        os.close(self._status)
        os.close(self._pidfd)
        self._ended = True
        self.oom_killed()
        if self._group is not None:
            self._group.remove()

    def _meet_init(self) -> None:
        """Hold the sandbox's first process by a pidfd: a pid alone may be another's one day."""
        while not self._lines() and _readable(self._status, _TOLD_S) and self._read():
            pass
        pid = next((int(line["child-pid"]) for line in self._lines() if "child-pid" in line), None)
        if pid is None:
            return
        try:
            held = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        # Checked while held: bubblewrap has one child, so this is it and no later owner of its pid.
        if parent(pid) == self._process.pid:
            self._init, self._init_pidfd = pid, held
        else:
            os.close(held)

    def _open(self, gate: int) -> None:
        """Let the command start, now that its sandbox ends with bubblewrap, however that ends.

        bubblewrap's first process asks for that (prctl(2), PR_SET_PDEATHSIG) and then waits for the
        command; killed before, bubblewrap leaves it behind.
        """
        deadline = time.monotonic() + _TOLD_S
        while self._init is not None and not sleeps_with_child(self._init):
            if _readable(self._pidfd, _STEP_S) or time.monotonic() > deadline:
                break
        try:
            os.write(gate, b"\n")
        except BrokenPipeError:  # it has failed to start
            pass
        finally:
            os.close(gate)

    def _read(self) -> bool:
        """Take what the status pipe has; False at its end."""
        with contextlib.suppress(BlockingIOError):
            while len(self._said) < _MAX_STATUS_BYTES:
                data = os.read(self._status, 4_096)
                if not data:
                    return False
                self._said += data
        return True

    def _lines(self) -> list[dict[str, Any]]:
        """Whole lines only: they arrive in pieces."""
        whole = self._said[: self._said.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _readable(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
