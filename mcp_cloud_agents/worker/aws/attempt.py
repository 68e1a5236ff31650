"""One attempt at a job in a container: fetch, choose the sandbox, do the job, tell the end."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.errors import AgentsError, StoreUnavailable
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.sandbox.choose import choose
from mcp_cloud_agents.sandbox.uid_drop import UidDrop
from mcp_cloud_agents.snapshots.fetching import fetch
from mcp_cloud_agents.storage.job_objects import JobObjects
from mcp_cloud_agents.worker.aws.cancel_watch import CancelWatch, Terminated
from mcp_cloud_agents.worker.aws.desk import NotFinished, ObjectsDesk, Reclaimed
from mcp_cloud_agents.worker.aws.scratch import Scratch
from mcp_cloud_agents.worker.job import Job
from mcp_cloud_agents.worker.shared_environments import SharedEnvironments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.sandbox import Sandbox
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.worker.aws.order import Order

T = TypeVar("T")
_log = logging.getLogger(__name__)
DONE, FAILED, TERMINATED = 0, 1, 128 + 15
_SPEC_WITHIN_S = 120.0
_AGAIN_S = 2.0
_UPLOADS_S = 120.0


def attempt(order: Order, store: Store, sandboxes: Sequence[Sandbox], owner: int | None) -> int:
    """Do the job, unless it was completed before.

    Args:
        order: what to do.
        store: where its objects are.
        sandboxes: strongest first.
        owner: user of the commands; None: this process's own.

    Returns:
        The exit code: 0 when the job has a result, whatever that says.
    """
    objects = JobObjects(store, order.job_id)
    watch = CancelWatch(objects)
    watch.start()
    try:
        spec = _patiently(objects.spec)
        if _patiently(objects.result) is not None:
            _log.info("completed_before: the job %s has a result", order.job_id)
            return DONE
        if not _is_ours(order, objects):
            return DONE
        with Scratch(order.job_id, owner) as scratch:
            desk = ObjectsDesk(
                objects,
                scratch.folder("desk"),
                artifacts=scratch.path("artifacts"),
                attempt=order.attempt,
                base=_patiently(lambda: _end_of_log(objects)),
                log_cap=spec.limits.log_bytes,
                watch=watch,
            )
            return _Attempt(spec, store, desk, watch, scratch).run(sandboxes)
    except Terminated:
        return TERMINATED
    except AgentsError as exc:
        _log.error("not_started: %s %s", exc.message, exc.hint)
        return FAILED


def _is_ours(order: Order, objects: JobObjects) -> bool:
    """Whether no other job of Batch does this one: SubmitJob may have been done twice.

    Attempts of one job of Batch share its id.
    """
    if not order.batch_id:
        return True
    owner = _patiently(lambda: objects.take(order.batch_id))
    if owner != order.batch_id:
        _log.warning("not_ours: the job %s is done by %s of Batch", order.job_id, owner)
    return owner == order.batch_id


def _end_of_log(objects: JobObjects) -> int:
    """Where the attempts before this one ended."""
    chunks = objects.chunks()
    return chunks[-1].end if chunks else 0


class _Attempt:
    """The parts of one attempt."""

    def __init__(
        self, spec: JobSpec, store: Store, desk: ObjectsDesk, watch: CancelWatch, scratch: Scratch
    ) -> None:
        self._spec = spec
        self._store = store
        self._desk = desk
        self._watch = watch
        self._scratch = scratch
        self._shared = SharedEnvironments(store, scratch.path("packs"))

    def run(self, sandboxes: Sequence[Sandbox]) -> int:
        """Do the job to its end."""
        try:
            self._desk.begin()
            self._work(sandboxes)
        except Terminated:
            self._watch.interrupts = False
            self._leave()
            return TERMINATED
        except Reclaimed:
            return TERMINATED
        except NotFinished as exc:
            _log.error("not_finished: %s", exc)
            return FAILED
        self._shared.wait(min(_UPLOADS_S, self._watch.left_s()))
        return DONE

    def _work(self, sandboxes: Sequence[Sandbox]) -> None:
        job = Job(self._spec, self._scratch.places(), self._desk, self._shared)
        try:
            sandbox, probe = choose(self._spec.isolation, sandboxes)
            self._fetch()
            self._watch.interrupts = False  # from here on the job looks whether it has to end
            if isinstance(sandbox, UidDrop):
                self._scratch.close()
                places = self._scratch.places(tree=sandbox.real("/workspace"))
                job = Job(self._spec, places, self._desk, self._shared)
            job.do(sandbox, probe)
        except AgentsError as exc:
            job.end(JobState.FAILED, Cause(kind=_kind(exc), message=exc.message, hint=exc.hint))
        except (Reclaimed, NotFinished):
            raise
        except Exception as exc:  # noqa: BLE001  the last resort: a job never just vanishes
            _log.exception("worker_failed")
            job.end(JobState.FAILED, _internal(exc))

    def _fetch(self) -> None:
        snapshot = self._spec.snapshot
        into = self._scratch.places().store(snapshot.repository)
        started_at = time.monotonic()
        _patiently(lambda: fetch(self._store, snapshot.repository, snapshot.commit, into))
        self._scratch.show(into)
        self._desk.say(f"snapshot fetched in {time.monotonic() - started_at:.1f} s")

    def _leave(self) -> None:
        try:
            self._desk.leave()
        except AgentsError as exc:
            _log.warning("not_left_in_order: %s", exc)


def _patiently(read: Callable[[], T]) -> T:
    """The answer, asked for again while the store is out of reach."""
    give_up_at = time.monotonic() + _SPEC_WITHIN_S
    while True:
        try:
            return read()
        except StoreUnavailable as exc:
            if time.monotonic() > give_up_at:
                raise
            _log.warning("store_unavailable: %s", exc.message)
        threading.Event().wait(_AGAIN_S)


def _kind(exc: AgentsError) -> CauseKind:
    match exc.code:
        case "isolation_unavailable":
            return CauseKind.SANDBOX_START
        case "no_space":
            return CauseKind.DISK
        case _:
            return CauseKind.INTERNAL


def _internal(exc: Exception) -> Cause:
    return Cause(
        kind=CauseKind.INTERNAL,
        message=f"The worker made a mistake: {type(exc).__name__}.",
        hint="Please report it with the container's log in CloudWatch; the log so far is kept.",
    )
