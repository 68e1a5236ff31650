"""Jobs in AWS Batch in the person's own account: S3 holds all that has to last, Batch runs them.

    submit   packs and spec.json to S3, SubmitJob once            submission.py
    status   Batch's word and the worker's, as one                follower.py, poller.py, status.py
    log      chunks in S3, and live frames behind them            logs.py
    cancel   jobs/<id>/cancel, then TerminateJob

A job that another machine submitted is found by its specification in S3 and its name in Batch.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.backends.aws_batch.artifacts import Artifacts
from mcp_cloud_agents.backends.aws_batch.causes import CANCELLED_BY_US
from mcp_cloud_agents.backends.aws_batch.kill_switch import MOST_TERMINATED
from mcp_cloud_agents.backends.aws_batch.status import Known, needs_worker, status_of
from mcp_cloud_agents.backends.aws_batch.tracked import Tracked, wall_clock
from mcp_cloud_agents.domain.errors import (
    BackendFailed,
    UnknownArtifact,
    UnknownJob,
    too_weak,
)
from mcp_cloud_agents.storage.job_objects import job_ids

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.backends.aws_batch.follower import Follower
    from mcp_cloud_agents.backends.aws_batch.objects import Objects
    from mcp_cloud_agents.backends.aws_batch.probe import CloudProbe
    from mcp_cloud_agents.backends.aws_batch.seen import Seen
    from mcp_cloud_agents.backends.aws_batch.submission import Submission
    from mcp_cloud_agents.domain.job import JobId, JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.sandbox import Probe
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.backend import Bytes, Watch

NAME = "aws_batch"
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class AwsBatchBackend:
    """`ports.backend.Backend` over S3 and Batch; `factory.py` makes one."""

    name = NAME

    def __init__(
        self,
        clients: Clients,
        objects: Objects,
        follower: Follower,
        submission: Submission,
        probe: CloudProbe,
    ) -> None:
        self._clients = clients
        self._objects = objects
        self._follower = follower
        self._submission = submission
        self._probe = probe
        self._artifacts = Artifacts(objects)
        self._submitting: dict[JobId, anyio.Lock] = {}

    async def probe(self) -> Probe:
        """See the port."""
        return await self._probe.look()

    async def submit(self, spec: JobSpec) -> None:
        """See the port."""
        probe = await self._probe.look()
        if not probe.works or not probe.level.satisfies(spec.isolation):
            raise too_weak(spec.isolation, probe.problem, probe.remedy)
        lock = self._submitting.setdefault(spec.id, anyio.Lock())
        try:
            async with lock:
                if await self._is_there(spec.id):
                    return
                batch_id = await self._submission.submit(spec)
                if batch_id is not None:
                    self._follower.submitted(await self._job(spec.id), batch_id)
        finally:
            if not lock.statistics().tasks_waiting:
                self._submitting.pop(spec.id, None)

    async def _is_there(self, job_id: JobId) -> bool:
        """Whether it was brought to Batch already, as far as that can be told without waiting."""
        try:
            job = await self._job(job_id)
        except UnknownJob:
            return False
        if job.poll is not None or job.final is not None:
            return True
        await self._follower.stored(job, now=True)
        return job.stored is not None

    async def status(self, job_id: JobId) -> JobStatus:
        """See the port."""
        job = await self._job(job_id)
        if job.final is not None:
            return job.final
        if job.poll is None:
            await self._follower.stored(job, now=job.stored is None)
        done = job.stored is not None and job.stored.status.state.done
        batch = job.batch if done else await self._follower.batch(job)
        if needs_worker(batch) and not done:
            await self._follower.stored(job, now=batch is None or batch.rank.final)
            done = job.stored is not None and job.stored.status.state.done
        if done or batch is None or batch.rank.final:
            return await self._settled(job, batch)
        known = Known(
            created_at=job.spec.created_at,
            batch=batch,
            stored=job.stored,
            waiting=await self._follower.waiting(job, batch),
        )
        status = status_of(known, now=wall_clock())
        return replace(status, log_bytes=max(status.log_bytes, job.log_end))

    async def _settled(self, job: Tracked, batch: Seen | None) -> JobStatus:
        """The status of a job of which nothing more is to come, or that never was in Batch."""
        done = job.stored is not None and job.stored.status.state.done
        result = None if done else await self._result(job)
        if not done and result is None and batch is not None:
            owner = await self._objects.write(partial(job.objects.take, batch.batch_id))
            if owner != batch.batch_id:  # this one was a duplicate, and left
                self._follower.submitted(job, owner)
                return await self.status(job.spec.id)
        strays: Sequence[str] = ()
        cancel_asked = False
        if not done and result is None:
            cancel_asked = await self._objects.read(job.objects.cancel_asked)
            strays = await self._drained(job, batch)
        known = Known(
            created_at=job.spec.created_at,
            batch=batch,
            stored=job.stored,
            result=result,
            cancel_asked=cancel_asked,
            strays=strays,
        )
        status = status_of(known, now=wall_clock())
        if not status.state.done:
            return status
        size = (await self._log(job, offset=0, limit=0)).size
        status = replace(status, log_bytes=size)
        if done or batch is not None or job.stored is not None:
            job.final = status  # what was never in Batch can still be submitted
            self._follower.ended(job)
            job.version += 1
        return status

    async def _drained(self, job: Tracked, batch: Seen | None) -> Sequence[str]:
        """What CloudWatch has of a job whose worker left no result; its last stray lines."""
        if batch is None or not batch.streams:
            return ()
        live = self._follower.last_look(job)
        await live.drain(batch.streams)
        return tuple(live.strays)

    async def result(self, job_id: JobId) -> JobResult | None:
        """See the port."""
        return await self._result(await self._job(job_id))

    async def _result(self, job: Tracked) -> JobResult | None:
        if job.result is None:
            job.result = await self._objects.read(job.objects.result)
        return job.result

    def watch(self, job_id: JobId) -> AbstractAsyncContextManager[Watch]:
        """See the port."""
        return self._watch(job_id)

    @contextlib.asynccontextmanager
    async def _watch(self, job_id: JobId) -> AsyncGenerator[JobWatch]:
        job = await self._job(job_id)
        self._follower.watch(job, +1)
        try:
            with contextlib.suppress(BackendFailed):  # the look that follows tells it
                await self._follower.refresh(job)
            yield JobWatch(job, self._follower)
        finally:
            self._follower.watch(job, -1)

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """See the port."""
        job = await self._job(job_id)
        job.use()
        if job.final is None and job.poll is not None:
            await self._follower.catch_up(job)
        return await self._log(job, offset=offset, limit=limit)

    async def _log(self, job: Tracked, *, offset: int, limit: int) -> Bytes:
        durable = await self._follower.durable(job, offset=offset, limit=limit)
        if job.live is None:
            return durable
        return job.live.behind(durable, offset=offset, limit=limit)

    async def artifact(self, job_id: JobId, name: str, *, offset: int, limit: int) -> Bytes:
        """See the port; an artifact that is not what the result says is never shown."""
        job = await self._job(job_id)
        piece = None
        if _ARTIFACT.fullmatch(name):
            piece = await self._piece(job, name, offset, limit)
        if piece is None:
            raise UnknownArtifact(
                f"Job {job_id} has no artifact {name[:120]!r}.",
                hint="get_job lists the artifacts of a job once it is done.",
            )
        return piece

    async def _piece(self, job: Tracked, name: str, offset: int, limit: int) -> Bytes | None:
        result = await self._result(job)
        told = next((one for one in result.artifacts if one.name == name), None) if result else None
        if told is not None:
            return await self._artifacts.read(job.objects, told, offset, limit)
        return await self._objects.read(partial(job.objects.artifact, name, offset, limit))

    async def cancel(self, job_id: JobId) -> None:
        """See the port. The worker ends by itself and keeps what there is; Batch sees to it."""
        if (await self.status(job_id)).state.done:
            return
        job = await self._job(job_id)
        await self._objects.write(job.objects.ask_to_cancel)
        batch = await self._follower.batch(job)
        if batch is not None and not batch.rank.final:
            await self._clients.change(
                "batch",
                "terminate_job",
                "cancelling the job",
                batch.batch_id,
                jobId=batch.batch_id,
                reason=CANCELLED_BY_US,
            )

    async def cancel_many(self, job_ids: Sequence[JobId]) -> None:
        """See the port: fifty with one call."""
        batch_ids: list[str] = []
        for job_id in job_ids:
            if not (await self.status(job_id)).state.done:
                job = await self._job(job_id)
                await self._objects.write(job.objects.ask_to_cancel)
                batch = await self._follower.batch(job)
                if batch is not None and not batch.rank.final:
                    batch_ids.append(batch.batch_id)
        for start in range(0, len(batch_ids), MOST_TERMINATED):
            some = batch_ids[start : start + MOST_TERMINATED]
            answer = await self._clients.change(
                "batch", "terminate_jobs", "cancelling jobs", jobs=some, reason=CANCELLED_BY_US
            )
            if errors := answer.get("errors"):
                raise BackendFailed(
                    f"{len(errors)} of {len(some)} jobs were not ended: {errors[0]}.",
                    hint="Cancel them again.",
                )

    async def spec(self, job_id: JobId) -> JobSpec:
        """What was asked for, whoever did. Raises UnknownJob, JobCorrupt, BackendFailed."""
        return (await self._job(job_id)).spec

    async def job_ids(self, *, limit: int) -> tuple[JobId, ...]:
        """See the port: all jobs in the bucket. Raises BackendFailed."""
        oldest_first = await self._objects.read(partial(job_ids, self._objects.store))
        return tuple(reversed(oldest_first[-limit:])) if limit else ()

    async def _job(self, job_id: JobId) -> Tracked:
        if not _ID.fullmatch(job_id):
            raise UnknownJob(
                f"No job has the id {job_id[:80]!r}.", hint="List the jobs with list_jobs."
            )
        return await self._follower.job(job_id)


class JobWatch:
    """`ports.backend.Watch`: whoever waits looks when something is due."""

    def __init__(self, job: Tracked, follower: Follower) -> None:
        self._job = job
        self._follower = follower
        self._seen = job.versions

    async def changed(self, *, timeout_s: float) -> bool:
        """See the port."""
        with anyio.move_on_after(timeout_s):
            while self._job.versions == self._seen:
                await self._sleep()
                try:
                    await self._follower.refresh(self._job)
                except BackendFailed:
                    return True  # the look that follows tells it
        if self._job.versions == self._seen:
            return False
        self._seen = self._job.versions
        return True

    async def _sleep(self) -> None:
        """Until something is due, or an event or another watcher's look brought news."""
        due_s = self._follower.due_in(self._job)
        poll = self._job.poll
        with anyio.move_on_after(due_s):
            if poll is None:
                await anyio.sleep(due_s)
            else:
                await poll.changed.wait()
