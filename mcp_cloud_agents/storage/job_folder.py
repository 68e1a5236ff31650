"""One job on disk: files are the truth, not pids and not a server's memory.

jobs/<id>/
  spec.json       what was asked for, frozen
  host.json       what the worker needs to know of this machine
  lock            held (flock) as long as the supervisor lives; never unlinked
  state.json      the status, with the supervisor's identity; replaced atomically
  progress.json   a hint for people, replaced without waiting for the disk
  cancel          its existence is the request
  log             raw bytes, append only; offsets are byte offsets
  result.json     the worker's last word, written once
  artifacts/      what was kept, under names of ours
  workspace/ git/ report/ fix/   while the job runs
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from dataclasses import dataclass, replace
from threading import get_native_id
from typing import TYPE_CHECKING, TypeVar

import msgspec

from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind, JobResult, Progress
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.files import (
    read_whole,
    replace_quickly,
    storage_errors,
    sync_folder,
    write_durably,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WORKING = ("workspace", "git", "git-setup", "report", "tools", "fix")
"""Folders of a job that are removed once it has ended."""
_STARTS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """What a worker needs to know of this machine; made by the server, never by a repository."""

    state: str
    """The state folder."""
    uv: str
    """The uv program."""
    concurrent_jobs: int
    keep_days: int
    keep_gib: int
    owner: int | None
    """Uid that owns what sandboxed commands may write; None: the worker's own."""
    setup_env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """The process that runs a job, named for good by start time and boot."""

    pid: int
    started_ticks: int | None
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatus:
    """The content of state.json."""

    status: JobStatus
    supervisor: Supervisor


class JobFolder:
    """Reads and writes one job's files."""

    def __init__(self, path: str) -> None:
        self.path = path

    def file(self, name: str) -> str:
        """Path of one of the files above."""
        return os.path.join(self.path, name)

    @staticmethod
    def create(jobs: str, spec: JobSpec, host: HostPlan, *, shared: bool) -> JobFolder:
        """The job's folder, whole and durable, or not there at all. Idempotent."""
        final = JobFolder(os.path.join(jobs, spec.id))
        if os.path.isdir(final.path):
            return final
        with storage_errors(jobs):
            temporary = JobFolder(os.path.join(jobs, f".{spec.id}.{get_native_id()}"))
            os.makedirs(temporary.path, mode=0o700, exist_ok=True)
            os.chmod(temporary.path, 0o711 if shared else 0o700)
            try:
                write_durably(temporary.file("spec.json"), msgspec.json.encode(spec))
                write_durably(temporary.file("host.json"), msgspec.json.encode(host))
                os.rename(temporary.path, final.path)
            except OSError as exc:
                shutil.rmtree(temporary.path, ignore_errors=True)
                if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            sync_folder(jobs)
        return final

    def spec(self) -> JobSpec:
        """What was asked for.

        Raises:
            UnknownJob: there is no such folder.
            JobCorrupt: the file is damaged.
        """
        return self._need("spec.json", JobSpec)

    def host(self) -> HostPlan:
        """What the worker needs to know of this machine."""
        return self._need("host.json", HostPlan)

    def result(self) -> JobResult | None:
        """The worker's last word, None while there is none."""
        return self._read("result.json", JobResult)

    def write_result(self, result: JobResult) -> None:
        """Write the last word, once, durably."""
        with storage_errors(self.path):
            write_durably(self.file("result.json"), msgspec.json.encode(result))

    def write_status(self, status: JobStatus, supervisor: Supervisor) -> None:
        """Replace the status, durably."""
        stored = StoredStatus(status=status, supervisor=supervisor)
        with storage_errors(self.path):
            write_durably(self.file("state.json"), msgspec.json.encode(stored))

    def write_progress(self, progress: Progress) -> None:
        """Replace the hint; a full disk only makes it old."""
        with contextlib.suppress(OSError):
            replace_quickly(self.file("progress.json"), msgspec.json.encode(progress))

    def ask_to_cancel(self) -> None:
        """Leave the request, durably."""
        with storage_errors(self.path):
            write_durably(self.file("cancel"), b"")

    def cancel_asked(self) -> bool:
        """Whether somebody asked the job to end."""
        return os.path.exists(self.file("cancel"))

    def status(self) -> JobStatus:
        """What is known now; anybody may ask, any time, no daemon needed.

        Raises:
            UnknownJob: there is no such folder.
            JobCorrupt: the state cannot be read.
        """
        stored = self._read("state.json", StoredStatus)
        if stored is None or not stored.status.state.done:
            stored, alive = self._look_under_lock()
            if not alive:
                return self._ended_without_a_word(stored)
        if stored is None:
            return self._waiting_to_start()
        return replace(
            stored.status,
            progress=self._read("progress.json", Progress),
            log_bytes=self._size("log"),
            heartbeat_at=self._heartbeat(),
        )

    def _look_under_lock(self) -> tuple[StoredStatus | None, bool]:
        """The state, read again under the shared lock: it may just have finished.

        Readers take LOCK_SH: with LOCK_EX two of them would make each other see a living job.
        """
        try:
            fd = os.open(self.file("lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._read("state.json", StoredStatus), False
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._read("state.json", StoredStatus), True
            stored = self._read("state.json", StoredStatus)
            return stored, stored is not None and stored.status.state.done
        finally:
            os.close(fd)

    def _ended_without_a_word(self, stored: StoredStatus | None) -> JobStatus:
        if stored is None:
            return self._never_started()
        result = self.result()
        if result is not None:  # killed between the last word and the state that announces it
            ended = stored.status.advance(result.state, at=self._written_at(), cause=result.cause)
            return replace(ended, log_bytes=self._size("log"), heartbeat_at=self._heartbeat())
        rebooted = stored.supervisor.boot_id != boot_id()
        cause = _REBOOT if rebooted else _SUPERVISOR_DIED
        seen_at = self._heartbeat() or stored.status.history[-1][1]
        lost = stored.status.advance(JobState.LOST, at=seen_at, cause=cause)
        return replace(lost, log_bytes=self._size("log"), heartbeat_at=seen_at)

    def _never_started(self) -> JobStatus:
        """Submitted, but its supervisor did not come up: soon, or (a crash in between) never."""
        waiting = self._waiting_to_start()
        created_at = waiting.history[0][1]
        if time.time() - created_at < _STARTS_WITHIN_S:
            return waiting
        return waiting.advance(JobState.LOST, at=created_at, cause=_SUPERVISOR_DIED)

    def _waiting_to_start(self) -> JobStatus:
        created_at = self.spec().created_at
        return JobStatus(state=JobState.QUEUED, history=((JobState.QUEUED, created_at),))

    def _written_at(self) -> float:
        return os.stat(self.file("result.json")).st_mtime

    def _heartbeat(self) -> float | None:
        try:
            return os.stat(self.file("lock")).st_mtime
        except FileNotFoundError:
            return None

    def _size(self, name: str) -> int:
        try:
            return os.stat(self.file(name)).st_size
        except FileNotFoundError:
            return 0

    def _need(self, name: str, kind: type[T]) -> T:
        found = self._read(name, kind)
        if found is not None:
            return found
        job = os.path.basename(self.path)
        if not os.path.isdir(self.path):
            raise UnknownJob(f"No job has the id {job[:80]!r}.", hint="List jobs with list_jobs.")
        raise _corrupt(self.path, f"{name} is missing")

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            with storage_errors(self.path):
                data = read_whole(self.file(name))
            return None if data is None else msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, OSError) as exc:
            raise _corrupt(self.path, f"{name}: {exc}") from exc


def _corrupt(folder: str, what: str) -> JobCorrupt:
    return JobCorrupt(
        f"The folder of job {os.path.basename(folder)} is damaged: {what}.",
        hint=f"What is left of it is in {folder}; submit the work again with fresh=true.",
    )


_AGAIN = "Nothing of it runs any more. Submit the work again: same arguments, fresh=true."
_SUPERVISOR_DIED = Cause(
    kind=CauseKind.SUPERVISOR_DIED,
    message="The job's supervisor process was killed before the job ended.",
    hint=_AGAIN,
)
_REBOOT = Cause(
    kind=CauseKind.REBOOT,
    message="The machine was restarted before the job ended.",
    hint=_AGAIN,
)


def boot_id() -> str:
    """Names this boot of the machine; empty where the system has no such thing (macOS)."""
    data = read_whole("/proc/sys/kernel/random/boot_id", limit=64)
    return data.decode().strip() if data else ""


def started_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none.

    Field 22 of /proc/PID/stat (proc(5)); the name in field 2 may itself hold ")".
    """
    data = read_whole(f"/proc/{pid}/stat", limit=4096)
    return int(data.rsplit(b")", 1)[1].split()[19]) if data else None


def this_supervisor() -> Supervisor:
    """The identity of the calling process."""
    pid = os.getpid()
    return Supervisor(pid=pid, started_ticks=started_ticks(pid), boot_id=boot_id())


def all_specs(jobs: str, *, on_damage: Callable[[str], None]) -> tuple[JobSpec, ...]:
    """Specs of all job folders that can be read, to rebuild a lost index."""
    found: list[JobSpec] = []
    for name in sorted(os.listdir(jobs)):
        if name.startswith("."):
            continue
        try:
            found.append(JobFolder(os.path.join(jobs, name)).spec())
        except (JobCorrupt, UnknownJob) as exc:
            on_damage(str(exc))
    return tuple(found)
