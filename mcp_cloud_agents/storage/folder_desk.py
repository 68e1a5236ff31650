"""The worker's desk in a job folder on this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.status import IllegalStep, JobStatus
from mcp_cloud_agents.storage.files import storage_errors
from mcp_cloud_agents.storage.job_folder import this_supervisor

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.result import Cause, JobResult, Progress
    from mcp_cloud_agents.storage.job_folder import JobFolder

_BEAT_EVERY_S = 1.0
_LOG_LIMIT = b"\n[cloud-agents] log limit reached; the rest is left out\n"


class FolderDesk:
    """`ports.desk.Desk` over a `JobFolder`, for the process that holds the job's lock.

    Args:
        folder: of the job.
        lock: descriptor of the held lock file; its mtime is the heartbeat.
        log_cap: bytes of job output kept; what comes after is drained and counted.
    """

    def __init__(self, folder: JobFolder, lock: int, *, log_cap: int) -> None:
        self._folder = folder
        self._lock = lock
        self._supervisor = this_supervisor()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._log = os.open(folder.file("log"), flags, 0o600)
        self._room = log_cap
        self.left_out_bytes = 0
        self.disk_full = False
        self._told_of_limit = False
        self._progress: Progress | None = None
        self._beaten_at = 0.0
        now = time.time()
        self.status = JobStatus(state=JobState.QUEUED, history=((JobState.QUEUED, now),))
        folder.write_status(self.status, self._supervisor)

    def enter(self, state: JobState) -> None:
        """See the port."""
        self._advance(self.status.advance(state, at=time.time()))

    def close(self) -> None:
        """Let the job go; nothing is written after."""
        os.close(self._log)
        os.close(self._lock)

    def _advance(self, status: JobStatus) -> None:
        self._folder.write_status(status, self._supervisor)
        self.status = status  # not before it is on the disk: a failed step can be taken again

    def log(self, data: bytes) -> None:
        """See the port."""
        kept, over = data[: self._room], len(data) - self._room
        self._room -= len(kept)
        if kept:
            self.left_out_bytes += self._append(kept)
        if over > 0:
            if not self._told_of_limit:
                self._told_of_limit = True
                self._append(_LOG_LIMIT)
            self.left_out_bytes += over

    def say(self, text: str) -> None:
        """See the port. Not counted against the cap: the end of a job is always told."""
        self._append(f"[cloud-agents] {text}\n".encode())

    def _append(self, data: bytes) -> int:
        """Write what the disk has room for; how many bytes it had none for."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._log, view) :]
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.disk_full = True  # keep draining: the job must not block on us
        return len(view)

    def beat(self, progress: Progress | None) -> None:
        """See the port."""
        now = time.monotonic()
        if now - self._beaten_at >= _BEAT_EVERY_S:
            self._beaten_at = now
            with contextlib.suppress(OSError):
                os.utime(self._lock)
        if progress is not None and progress != self._progress:
            self._progress = progress
            self._folder.write_progress(progress)

    def cancelled(self) -> bool:
        """See the port."""
        return self._folder.cancel_asked()

    def finish(self, result: JobResult, cause: Cause | None) -> None:
        """See the port. The log is on the disk before a final state says that all is there."""
        ended = self.status.advance(result.state, at=time.time(), cause=cause)
        if not ended.state.done:
            raise IllegalStep(f"{self.status.state} -> {result.state} as the end")
        with storage_errors(self._folder.path):
            os.fsync(self._log)
        self._folder.write_result(result)
        self._advance(ended)
