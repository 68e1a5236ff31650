"""Jobs go their way: dependencies, capacity, attempts, ends. All on the loop's thread.

Requests read and mark jobs under the state's lock; every step of a job is made here.
"""

from __future__ import annotations

import time
from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.emulator.batch.attempts import Attempts, Ending
from mcp_cloud_agents.emulator.batch.job import FINAL, NOT_PLACED, Attempt, Job, Status
from mcp_cloud_agents.emulator.batch.placement import TOO_LARGE, in_order, place, usage_of
from mcp_cloud_agents.emulator.batch.resources import Queue
from mcp_cloud_agents.emulator.batch.retry import wants_retry
from mcp_cloud_agents.emulator.batch.state import State
from mcp_cloud_agents.emulator.batch.views import detail
from mcp_cloud_agents.emulator.batch.world import World
from mcp_cloud_agents.emulator.job_faults import JobFaults
from mcp_cloud_agents.emulator.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

DEPENDENT_FAILED = "Dependent Job failed"
CHILD_FAILED = "Array Child Job failed"
_NO_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for"
    " instance type. (Service: Batch)"
)


@dataclass(slots=True)
class Engine:
    """Moves jobs."""

    state: State
    loop: Loop
    world: World
    attempts: Attempts
    faults: JobFaults
    runnable: dict[Queue, list[Job]] = field(default_factory=dict[Queue, list[Job]])
    placed: set[Job] = field(default_factory=set[Job])
    dispatching: bool = False

    # from requests, under the state's lock

    def submitted(self, jobs: list[Job]) -> None:
        """New jobs: a parent with its children, or one."""
        delay = self.state.options.submit_s
        begin = self._locked(lambda: self._begin(jobs))
        self.loop.soon(lambda: self.loop.later(delay, begin) and None)

    def stop(self, job: Job, reason: str, *, terminate: bool) -> None:
        """TerminateJob and CancelJob; the latter does nothing from STARTING on."""
        if job.status in FINAL or not (terminate or job.status in NOT_PLACED):
            return
        for child in job.children:
            self.stop(child, reason, terminate=terminate)
        job.stop_reason = reason
        job.terminated |= terminate
        job.cancelled |= not terminate
        self.loop.soon(self._locked(lambda: self._obey(job)))

    def changed(self) -> None:
        """Capacity, queues, environments or faults are not as they were."""
        self.loop.soon(self._locked(self._reconsider))

    def clear(self) -> None:
        """End all processes and forget all jobs."""
        self.attempts.kill_all()
        with self.state.lock:
            self.runnable.clear()
            self.placed.clear()
            for environment in self.state.environments.values():
                environment.used = 0.0

    # steps

    def _locked(self, call: Callable[[], None]) -> Callable[[], None]:
        def locked() -> None:
            with self.state.lock:
                call()

        return locked

    def _begin(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.id not in self.state.jobs or job.status is not Status.SUBMITTED or job.children:
                continue
            if any(self._has_failed(one) for one in job.blockers):
                self._finish(job, Status.FAILED, DEPENDENT_FAILED)
                continue
            job.blockers = {one for one in job.blockers if not self._has_succeeded(one)}
            if job.blockers:
                self._step(job, Status.PENDING)
                self._parent_waits(job)
            else:
                self._make_runnable(job)

    def _has_failed(self, job_id: str) -> bool:
        job = self.state.jobs.get(job_id)
        return job is None or job.status is Status.FAILED

    def _has_succeeded(self, job_id: str) -> bool:
        return self.state.jobs[job_id].status is Status.SUCCEEDED

    def _parent_waits(self, child: Job) -> None:
        if child.parent is not None and child.parent.status is Status.SUBMITTED:
            self._step(child.parent, Status.PENDING)

    def _make_runnable(self, job: Job, reason: str | None = None) -> None:
        self._step(job, Status.RUNNABLE, reason)
        self._parent_waits(job)
        if job.stop_reason is not None:
            self._finish(job, Status.FAILED, job.stop_reason)
            return
        insort(self.runnable.setdefault(job.queue, []), job, key=lambda one: one.order)
        self._hold(job)
        self._want_dispatch()

    def _hold(self, job: Job) -> None:
        """Stuck by a fault, or not any more."""
        fault = self.faults.of(job, job.attempts_made + 1).get("stuck")
        job.stuck = fault is not None
        if fault is not None:
            self._explain(job, fault.reason or _NO_CAPACITY)

    def _explain(self, job: Job, reason: str) -> None:
        """Say why it waits, once, and hold the queue's own limits against it."""
        if job.status_reason == reason:
            return
        job.status_reason = reason
        self.world.publish("Batch Job Queue Blocked", [job.queue.arn, job.arn], detail(job))
        for limit in job.queue.limits:
            if reason.startswith(str(limit["reason"])):
                self._limit(job, int(limit["maxTimeSeconds"]))

    def _limit(self, job: Job, seconds: int) -> None:
        since, why = job.runnable_at or time.monotonic(), job.status_reason

        def give_up() -> None:
            if job.status is Status.RUNNABLE and job.status_reason == why:
                self._finish(job, Status.FAILED, why)

        self.loop.later(since + seconds - time.monotonic(), self._locked(give_up))

    def _reconsider(self) -> None:
        for waiting in self.runnable.values():
            for job in waiting:
                self._hold(job)
        self._want_dispatch()

    def _want_dispatch(self) -> None:
        if not self.dispatching:
            self.dispatching = True
            self.loop.soon(self._locked(self._dispatch))

    def _dispatch(self) -> None:
        self.dispatching = False
        for queue in sorted(self.runnable, key=lambda one: -one.priority):
            if waiting := self.runnable[queue]:
                self._dispatch_queue(queue, waiting)

    def _dispatch_queue(self, queue: Queue, waiting: list[Job]) -> None:
        ordered = in_order(queue, waiting, usage_of(queue, self.placed))
        for job, environment in place(ordered):
            if environment is None:
                self._explain(job, TOO_LARGE)
                return
            waiting.remove(job)
            environment.used += job.request.vcpus
            self.placed.add(job)
            job.current = self.attempts.new(job, environment)
            self._step(job, Status.STARTING)
            self.attempts.start(job, job.current, self._running, self._ended)

    def _running(self, job: Job, attempt: Attempt) -> None:
        with self.state.lock:
            if job.current is attempt and job.status is Status.STARTING:
                self._step(job, Status.RUNNING)

    def _ended(self, job: Job, attempt: Attempt, ending: Ending) -> None:
        with self.state.lock:
            if job.current is not attempt:
                return
            self._close(job, attempt, ending)
            self._decide(job, attempt, ending)
            self._want_dispatch()

    def _close(self, job: Job, attempt: Attempt, ending: Ending) -> None:
        attempt.stopped_at = ending.at
        attempt.exit_code, attempt.reason = ending.exit_code, ending.reason
        attempt.status_reason = ending.status_reason
        job.attempts.append(attempt)
        job.current = None
        attempt.environment.used -= job.request.vcpus
        self.placed.discard(job)

    def _decide(self, job: Job, attempt: Attempt, ending: Ending) -> None:
        if job.terminated:
            self._finish(job, Status.FAILED, job.stop_reason)
        elif ending.timed_out:
            self._finish(job, Status.FAILED, ending.status_reason)
        elif ending.exit_code == 0:
            self._finish(job, Status.SUCCEEDED, ending.status_reason)
        elif wants_retry(job.request.retry, attempt, len(job.attempts)):
            self._make_runnable(job, ending.status_reason)
        else:
            self._finish(job, Status.FAILED, ending.status_reason)

    def _finish(self, job: Job, status: Status, reason: str | None) -> None:
        if job.status is Status.RUNNABLE and job in (waiting := self.runnable[job.queue]):
            waiting.remove(job)
        self._step(job, status, reason)
        if job.parent is not None:
            self._finish_parent(job.parent)
        for one in job.dependents:
            # by the loop: a long chain must not become a deep stack
            self.loop.soon(self._locked(lambda one=one: self._released(one, job)))

    def _finish_parent(self, parent: Job) -> None:
        parent.children_ended += 1
        if parent.children_ended < len(parent.children):
            return
        failed = any(child.status is Status.FAILED for child in parent.children)
        why = (parent.stop_reason or CHILD_FAILED) if failed else None
        self._parent_waits(parent.children[0])
        self._finish(parent, Status.FAILED if failed else Status.SUCCEEDED, why)

    def _released(self, job: Job, by: Job) -> None:
        if job.status in FINAL:
            return
        job.blockers.discard(by.id)
        if by.status is Status.FAILED:
            self._finish(job, Status.FAILED, DEPENDENT_FAILED)
        elif not job.blockers and job.status is Status.PENDING:
            self._make_runnable(job)

    def _obey(self, job: Job) -> None:
        if job.status in FINAL or job.children:
            return
        if job.status is Status.PENDING and not job.terminated:
            return  # CancelJob: once its dependencies have ended
        if job.status in NOT_PLACED:
            self._finish(job, Status.FAILED, job.stop_reason)
        elif job.current is not None and job.terminated:
            self.attempts.stop(job.current, job.stop_reason or "")

    def _step(self, job: Job, to: Status, reason: str | None = None) -> None:
        job.step(to, reason)
        self.world.publish("Batch Job State Change", [job.arn], detail(job))
        self.state.lock.notify_all()
