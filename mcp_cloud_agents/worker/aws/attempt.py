"""One attempt at a job in a container: fetch, choose the sandbox, do the job, tell the end."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError, StoreUnavailable
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.sandbox.choose import choose
from mcp_cloud_agents.sandbox.uid_drop import UidDrop
from mcp_cloud_agents.snapshots.fetching import fetch
from mcp_cloud_agents.storage.job_objects import TRY_AGAIN, JobObjects
from mcp_cloud_agents.worker.aws.cancel_watch import CancelWatch, Terminated
from mcp_cloud_agents.worker.aws.desk import NotFinished, ObjectsDesk, Reclaimed
from mcp_cloud_agents.worker.aws.patience import patiently
from mcp_cloud_agents.worker.aws.scratch import Scratch
from mcp_cloud_agents.worker.aws.values import given_to
from mcp_cloud_agents.worker.endings import past_deadline
from mcp_cloud_agents.worker.job import Job, hops_of
from mcp_cloud_agents.worker.shared_environments import SharedEnvironments

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.sandbox import Sandbox
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.worker.aws.order import Order
    from mcp_cloud_agents.worker.places import Places
    from mcp_cloud_agents.worker.vault import Given

_log = logging.getLogger(__name__)
DONE, FAILED, TERMINATED = 0, 1, 128 + 15
STORE_WITHIN_S = 120.0
"""Without the store nothing can begin; after this another container may have more luck."""
_UPLOADS_S = 120.0


def attempt(
    order: Order,
    store: Store,
    sandboxes: Sequence[Sandbox],
    owner: int | None,
    *,
    store_within_s: float = STORE_WITHIN_S,
    environ: MutableMapping[str, str] | None = None,
) -> int:
    """Do the job, unless it was completed before.

    Args:
        order: what to do.
        store: where its objects are.
        sandboxes: strongest first.
        owner: user of the commands; None: this process's own.
        store_within_s: how long a store that is out of reach is waited for.
        environ: the container's; keys of the job's models and its secrets are taken out of it.

    Returns:
        The exit code: 0 when the job has a result, whatever that says; `TRY_AGAIN` when it has
        none because the store was out of reach.
    """
    objects = JobObjects(store, order.job_id)
    asked = partial(patiently, within_s=store_within_s)
    watch = CancelWatch(objects)
    watch.start()
    try:
        spec = asked(objects.spec)
        if asked(objects.result) is not None:
            _log.info("completed_before: the job %s has a result", order.job_id)
            return DONE
        if not asked(lambda: _is_ours(order, objects)):
            return DONE
        with Scratch(order.job_id, owner) as scratch:
            desk = ObjectsDesk(
                objects,
                scratch.folder("desk"),
                artifacts=scratch.path("artifacts"),
                attempt=order.attempt,
                base=asked(lambda: _end_of_log(objects)),
                log_cap=spec.limits.log_bytes,
                watch=watch,
            )
            given = given_to(spec, {} if environ is None else environ)
            return _Attempt(spec, store, desk, watch, scratch, given).run(sandboxes)
    except Terminated:
        return TERMINATED
    except AgentsError as exc:
        _log.error("not_started: %s %s", exc.message, exc.hint)
        return TRY_AGAIN if isinstance(exc, StoreUnavailable) else FAILED


def _is_ours(order: Order, objects: JobObjects) -> bool:
    """Whether no other job of Batch does this one: SubmitJob may have been done twice.

    Attempts of one job of Batch share its id.
    """
    if not order.batch_id:
        return True
    owner = objects.take(order.batch_id)
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
        self,
        spec: JobSpec,
        store: Store,
        desk: ObjectsDesk,
        watch: CancelWatch,
        scratch: Scratch,
        given: Given,
    ) -> None:
        self._spec = spec
        self._store = store
        self._desk = desk
        self._watch = watch
        self._scratch = scratch
        self._given = given
        self._hops = hops_of(spec)
        self._shared = SharedEnvironments(store, scratch.path("packs"))

    def run(self, sandboxes: Sequence[Sandbox]) -> int:
        """Do the job to its end."""
        try:
            self._desk.begin()
            self._work(sandboxes)
        except Terminated:
            self._watch.interrupts = False
            self._leave("was ended from outside")
            return TERMINATED
        except Reclaimed:
            return TERMINATED
        except NotFinished as exc:
            _log.error("not_finished: %s", exc)
            return TRY_AGAIN if exc.passing else FAILED
        except StoreUnavailable as exc:
            _log.error("store_away: %s", exc.message)
            self._leave("could not reach the store")
            return TRY_AGAIN
        self._shared.wait(min(_UPLOADS_S, self._watch.left_s()))
        return DONE

    def _work(self, sandboxes: Sequence[Sandbox]) -> None:
        job = self._job(self._scratch.places())
        if job.over():
            job.give_up(past_deadline("before a machine could start it"))
            return
        try:
            sandbox, probe = choose(self._spec.isolation, sandboxes)
            self._fetch()
            self._watch.interrupts = False  # from here on the job looks whether it has to end
            if isinstance(sandbox, UidDrop):
                self._scratch.close()
                places = self._scratch.places(tree=sandbox.real("/workspace"))
                job = self._job(places)
            job.do(sandbox, probe)
        except (Reclaimed, NotFinished, StoreUnavailable):
            raise
        except AgentsError as exc:
            job.end(JobState.FAILED, Cause(kind=_kind(exc), message=exc.message, hint=exc.hint))
        except Exception as exc:  # noqa: BLE001  the last resort: a job never just vanishes
            _log.exception("worker_failed")
            job.end(JobState.FAILED, _internal(exc))

    def _job(self, places: Places) -> Job:
        return Job(self._spec, places, self._desk, self._shared, self._given, self._hops)

    def _fetch(self) -> None:
        snapshot = self._spec.snapshot
        into = self._scratch.places().store(snapshot.repository)
        started_at = time.monotonic()
        patiently(
            lambda: fetch(self._store, snapshot.repository, snapshot.commit, into),
            within_s=STORE_WITHIN_S,
        )
        self._scratch.show(into)
        self._desk.say(f"snapshot fetched in {time.monotonic() - started_at:.1f} s")

    def _leave(self, why: str) -> None:
        try:
            self._desk.leave(why)
        except AgentsError as exc:
            _log.warning("not_left_in_order: %s", exc)


def _kind(exc: AgentsError) -> CauseKind:
    match exc.code:
        case "isolation_unavailable":
            return CauseKind.SANDBOX_START
        case "no_space":
            return CauseKind.DISK
        case "model_unusable":
            return CauseKind.MODEL_UNUSABLE
        case "secret_unusable":
            return CauseKind.SECRET_UNUSABLE
        case _:
            return CauseKind.INTERNAL


def _internal(exc: Exception) -> Cause:
    return Cause(
        kind=CauseKind.INTERNAL,
        message=f"The worker made a mistake: {type(exc).__name__}.",
        hint="Please report it with the container's log in CloudWatch; the log so far is kept.",
    )
