"""The worker's desk in a shared store: log, states and progress by a courier, the result at last.

While a command runs nothing waits for the store: the log goes to the local spool, and from there
to stdout and to the store by threads. At the end everything is awaited: the log, the artifacts,
then the result, which the first attempt writes for good, then the final state.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.errors import StoreDenied, StoreUnavailable
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.status import IllegalStep, JobStatus
from mcp_cloud_agents.storage.job_objects import StoredState
from mcp_cloud_agents.worker.aws.courier import Courier
from mcp_cloud_agents.worker.aws.frames import Frames
from mcp_cloud_agents.worker.aws.patience import patiently
from mcp_cloud_agents.worker.aws.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.domain.result import Artifact, Cause, JobResult, Progress
    from mcp_cloud_agents.storage.job_objects import JobObjects
    from mcp_cloud_agents.worker.aws.cancel_watch import CancelWatch

T = TypeVar("T")
_log = logging.getLogger(__name__)
_STEP_WAIT_S = 2.0
"""A step waits so long until its state is in the store; then the work goes on, and it follows."""
_FINISH_WITHIN_S = 900.0
_CLOSE_S = 60.0
_FRAMES_S = 5.0
_STDOUT = 1
_COPY = 1 << 20


class Reclaimed(Exception):
    """The container is being ended and the job is not: the next attempt does it, from the start."""


class NotFinished(Exception):
    """The job came to its end, and the store did not take it: the job is not completed.

    Attributes:
        passing: whether another attempt may have more luck: the store was out of reach.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class ObjectsDesk:
    """`ports.desk.Desk` over `JobObjects`, for one attempt.

    A step is durable here once the store has it: with the store out of reach, `enter` returns
    after two seconds and the state follows. What the last step says is durable when `finish` is
    back, which waits for it for a quarter of an hour.

    Args:
        objects: of the job.
        folder: of ours, for the spool and what is made for the end.
        artifacts: folder that the job's artifacts are collected in.
        attempt: number of this start, from 1.
        base: where the log of the attempts before it ends.
        log_cap: bytes of job output kept.
        watch: who knows of a cancel.
    """

    def __init__(  # noqa: PLR0913  its parts, put together in one place
        self,
        objects: JobObjects,
        folder: str,
        *,
        artifacts: str,
        attempt: int,
        base: int,
        log_cap: int,
        watch: CancelWatch,
    ) -> None:
        self._objects = objects
        self._folder = folder
        self._artifacts = artifacts
        self._attempt = attempt
        self._watch = watch
        self._spool = Spool(os.path.join(folder, "log"), cap=log_cap)
        self._base = base
        now = time.time()
        self.status = JobStatus(state=JobState.QUEUED, history=((JobState.QUEUED, now),))
        self._frames = Frames(self._spool, base=self._base, output=_STDOUT)
        self._courier = Courier(
            objects, self._spool, base=self._base, attempt=attempt, status=self.status
        )

    @property
    def left_out_bytes(self) -> int:
        """See the port."""
        return self._spool.left_out_bytes

    @property
    def disk_full(self) -> bool:
        """See the port."""
        return self._spool.disk_full

    def enter(self, state: JobState) -> None:
        """See the port, and the class for what durable means here."""
        self.status = self.status.advance(state, at=time.time())
        self._courier.post(self.status, wait_s=min(_STEP_WAIT_S, self._watch.left_s()))

    def log(self, data: bytes) -> None:
        """See the port."""
        self._spool.log(data)

    def say(self, text: str) -> None:
        """See the port."""
        self._spool.append(f"[cloud-agents] {text}\n".encode())

    def beat(self, progress: Progress | None) -> None:
        """See the port."""
        self._courier.alive(progress)

    def cancelled(self) -> bool:
        """See the port. Also when the container is being ended."""
        return self._watch.ended()

    def finish(self, result: JobResult, cause: Cause | None) -> None:
        """See the port.

        Raises:
            Reclaimed: the container is being ended and nobody asked for that: nothing was
                written that would complete the job.
            NotFinished: the store did not come back in time, or takes nothing.
        """
        ended = self.status.advance(result.state, at=time.time(), cause=cause)
        if not ended.state.done:
            raise IllegalStep(f"{self.status.state} -> {result.state} as the end")
        if self._watch.reclaimed():
            self.leave("was ended from outside", result.artifacts)
            raise Reclaimed
        self._close()
        try:
            self._complete(result, ended)
        except (StoreUnavailable, StoreDenied) as exc:
            passing = isinstance(exc, StoreUnavailable)
            raise NotFinished(exc.message, passing=passing) from exc

    def _complete(self, result: JobResult, ended: JobStatus) -> None:
        self._persist(self._write_log)
        for artifact in result.artifacts:
            self._persist(lambda name=artifact.name: self._keep(name))
        if not self._persist(lambda: self._objects.write_result(result)):
            _log.warning("result_exists: another attempt completed this job")
            return
        self._persist(lambda: self._write_state(ended))
        self.status = ended

    def begin(self) -> None:
        """First words; a later attempt goes on behind what the ones before it left."""
        if self._attempt > 1 or self._base:
            self.say(f"attempt {self._attempt}: the one before ended before the job did; anew")

    def leave(self, why: str, artifacts: tuple[Artifact, ...] = ()) -> None:
        """Give back an attempt without an end of the job: what there is is kept, marked as such."""
        self.say(f"attempt {self._attempt} {why}; the job is not done")
        self._close()
        for artifact in artifacts:
            path = os.path.join(self._artifacts, artifact.name)
            name = f"attempt-{self._attempt}.{artifact.name}"
            self._persist(lambda name=name, path=path: self._objects.put_artifact(name, path))

    def _close(self) -> None:
        if not self._courier.close(min(_CLOSE_S, self._watch.left_s())):
            _log.warning("log_not_sent_in_chunks")
        self._frames.close(min(_FRAMES_S, self._watch.left_s()))
        self._watch.stop()

    def _write_state(self, status: JobStatus) -> None:
        now = time.time()
        stored = StoredState(status=status, attempt=self._attempt, heartbeat_at=now)
        self._objects.write_state(stored)

    def _write_log(self) -> None:
        """The whole log: what attempts before this one left, then ours."""
        path = os.path.join(self._folder, "log.bin")
        with open(path, "w+b") as whole:
            while whole.tell() < self._base:
                offset = whole.tell()
                piece = self._objects.log(offset, min(_COPY, self._base - offset)).data
                if not piece:
                    break
                whole.write(piece)
            with open(self._spool.path, "rb") as ours:
                shutil.copyfileobj(ours, whole, _COPY)
            whole.seek(0)
            self._objects.write_log(whole)

    def _keep(self, name: str) -> None:
        """One artifact. An attempt that was killed before its result may have left another one."""
        path = os.path.join(self._artifacts, name)
        if not self._objects.put_artifact(name, path) and self._objects.result() is None:
            self._objects.replace_artifact(name, path)

    def _persist(self, act: Callable[[], T]) -> T:
        """Do it until the store took it, or the time is up. Raises StoreUnavailable."""
        return patiently(act, within_s=min(_FINISH_WITHIN_S, self._watch.left_s()))
