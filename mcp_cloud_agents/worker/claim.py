"""Taking hold of a job: lock, identity, first state. Little is imported before: a submit waits.

Crash points: before the first state there is a lock file without a state, and submitting again
starts anew; after it, the next look finds the lock free and tells `lost`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from dataclasses import dataclass

from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.storage.folder_desk import FolderDesk
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder

_LOCK_TRIES, _LOCK_EVERY_MS = 2_500, 10  # 25 s, within the 30 s that a submit waits for us
_REFUSED, _RAN_BEFORE = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this process holds."""

    folder: JobFolder
    spec: JobSpec
    host: HostPlan
    desk: FolderDesk


def claim(path: str, ready: int) -> Claim:
    """Hold the job in `path`; tell `ready` once its first state is on the disk.

    Ends the process when another supervisor has the job, or it ran before.
    """
    os.umask(0o077)
    folder = JobFolder(path)
    lock = _take_lock(folder.file("lock"))
    if os.path.exists(folder.file("state.json")):
        os._exit(_RAN_BEFORE)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    spec, host = folder.spec(), folder.host()
    desk = FolderDesk(folder, lock, log_cap=spec.limits.log_bytes)
    with contextlib.suppress(BrokenPipeError):  # who asked was killed; the job goes on
        os.write(ready, b"k")
    os.close(ready)
    return Claim(folder=folder, spec=spec, host=host, desk=desk)


def _take_lock(path: str) -> int:
    """Hold the job. A reader may have the lock for a moment, or another supervisor for good.

    That one is waited for until its first state is on the disk, so that both submits can be told
    that the job is there.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if os.path.exists(os.path.join(os.path.dirname(path), "state.json")):
                os._exit(_RAN_BEFORE)
            select.poll().poll(_LOCK_EVERY_MS)
        else:
            return lock
    os._exit(_REFUSED)
