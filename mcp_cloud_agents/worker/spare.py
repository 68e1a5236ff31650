"""A worker that waits for jobs: everything imported, the sandbox tried; each job is a fork of it.

A fork has its own session and no tie to the spare, the server or another job. The spare itself
holds no job: it may be killed at any time, and it ends when the server is gone or sends nothing for
five minutes. What the server does is in `backends/local/spare.py`.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_cloud_agents.ports.sandbox import Sandbox
from mcp_cloud_agents.runners.detect import RUNNERS, runner_named
from mcp_cloud_agents.sandbox.choose import drivers
from mcp_cloud_agents.sandbox.left_behind import end_left_behind
from mcp_cloud_agents.sandbox.remembered import Remembered

_IDLE_MS = 300_000
_PATH_BYTES = 8_192
_USED_LATER = ("junitparser", "mcp_cloud_agents.worker.supervise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a forked worker was told to do."""

    folder: str
    """Of the job."""
    ready: int
    """Descriptor that is told when its first state is on the disk."""
    keys: int | None
    """Descriptor of a pipe with the keys of its models, see `fix.keys`; None: it has none."""
    job_uid: int | None
    sandboxes: Sequence[Sandbox]

    def sandboxes_for(self, owner: int | None) -> Sequence[Sandbox] | None:
        """Those that were tried, when a job of this owner may use them."""
        return self.sandboxes if owner == self.job_uid else None


def wait_for_order(door: int, job_uid: int | None) -> Order:
    """Wait for jobs; returns in each process that is to do one, and in no other.

    Args:
        door: a socket whose other end the server has.
        job_uid: host user of commands when this process is root.
    """
    sandboxes = _warmed_up(job_uid)
    with socket.socket(fileno=door) as server:
        poll = select.poll()
        poll.register(server, select.POLLIN)
        while poll.poll(_IDLE_MS):
            folder, fds = _received(server)
            if not fds:
                break
            if _forked():
                server.close()
                _write_to(os.path.join(folder, "supervisor.log"))
                return Order(
                    folder=folder,
                    ready=fds[0],
                    keys=fds[1] if len(fds) > 1 else None,
                    job_uid=job_uid,
                    sandboxes=sandboxes,
                )
            for fd in fds:  # the keys were not read here
                os.close(fd)
            end_left_behind()  # what each probe does; the jobs do none
    os._exit(0)


def _warmed_up(job_uid: int | None) -> Sequence[Sandbox]:
    """All that a job would do first and that can be done before: imports, and the probe."""
    for name in _USED_LATER:
        importlib.import_module(name)
    for name in RUNNERS:
        runner_named(name)
    sandboxes = [Remembered(driver) for driver in drivers(job_uid=job_uid)]
    for sandbox in sandboxes:
        sandbox.probe()
    gc.freeze()  # what is there stays, and stays shared with the forks
    return sandboxes


def _received(server: socket.socket) -> tuple[str, list[int]]:
    """A job's folder; descriptors of who waits for it and of its keys. None: the server ended."""
    path, fds, _, _ = socket.recv_fds(server, _PATH_BYTES, 2, socket.MSG_CMSG_CLOEXEC)
    return os.fsdecode(path), fds


def _forked() -> bool:
    """Whether this is the new process: in a session of its own, and nobody's child."""
    try:
        first = os.fork()
    except OSError:  # no more processes: the server sees that nobody took the job
        return False
    if first:
        os.waitpid(first, 0)
        return False
    try:
        os.setsid()
        second = os.fork()
    except OSError:
        os._exit(1)
    if second:
        os._exit(0)
    return True


def _write_to(path: str) -> None:
    """Both outputs into the job's own file."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
