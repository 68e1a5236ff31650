"""Bringing a job to Batch exactly once, although SubmitJob knows no client token.

    ship packs ─ spec.json ─ claims/0 (one wins) ─ SubmitJob (tried once) ─ lost answer? look it up

Who writes `claims/0` is the one to submit; all others wait until the job appears under its name.
When it does not (the submitter died in between), the next one claims the right by `claims/<n>`,
looks once more, and submits. Should two jobs of one name come to be all the same, no harm is done:
`owner` is written once, by the first worker that starts or by whoever sees both, and the other one
leaves without doing anything. So nobody has to wait long for an answer that may never come.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from mcp_cloud_agents.backends.aws_batch.answers import records
from mcp_cloud_agents.backends.aws_batch.causes import DUPLICATE
from mcp_cloud_agents.backends.aws_batch.errors import AnswerLost
from mcp_cloud_agents.backends.aws_batch.request import job_name, submit_job
from mcp_cloud_agents.backends.aws_batch.seen import seen
from mcp_cloud_agents.domain.errors import BackendFailed, BackendUnavailable, CloudThrottled

if TYPE_CHECKING:
    from collections.abc import Generator

    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.backends.aws_batch.objects import Objects
    from mcp_cloud_agents.backends.aws_batch.seen import Seen
    from mcp_cloud_agents.domain.job import JobId, JobSpec, Snapshot
    from mcp_cloud_agents.settings import AwsSettings
    from mcp_cloud_agents.storage.job_objects import JobObjects

Json = dict[str, Any]
_MOST_LOST = 4
"""Answers in a row, before the caller is told."""
_OTHERS_SUBMIT_WITHIN_S = 6.0
"""SubmitJob answers within a second as a rule; later a duplicate costs less than the wait."""
_APPEARS_WITHIN_S = 1.5
"""How soon ListJobs shows a new job is not documented."""
_LOOK_EVERY_S = 0.5
_THROTTLED_PAUSES_S = (0.3, 0.8, 2.0, 4.0)
_VOID = ".void"


class Shipping(Protocol):
    """Brings the packs of snapshots into the bucket; blocks. `snapshots/shipping.py` does."""

    def ship(self, snapshot: Snapshot) -> int:
        """Bytes sent; 0 when all was there."""
        ...

    def repository_key(self, snapshot: Snapshot) -> str:
        """Under which key its repository's packs are."""
        ...


class Finder:
    """Looks jobs up in Batch by their unique name."""

    def __init__(self, clients: Clients, aws: AwsSettings, objects: Objects) -> None:
        self._clients = clients
        self._objects = objects
        self._queues = tuple(dict.fromkeys((aws.queues[aws.queue], *aws.queues.values())))

    async def find(self, job_id: JobId) -> Seen | None:
        """The job, on whichever queue of ours it is. Raises BackendFailed."""
        found: list[Seen] = []
        for queue in self._queues:
            answer = await self._clients.read(
                "batch",
                "list_jobs",
                "looking the job up by its name",
                queue,
                jobQueue=queue,
                filters=[{"name": "JOB_NAME", "values": [job_name(job_id)]}],
            )
            listed = (seen({**one, "jobQueue": queue}) for one in records(answer, "jobSummaryList"))
            found += [one for one in listed if one is not None]
            if found:
                break
        if len(found) > 1:
            return await self._end_duplicates(job_id, found)
        return found[0] if found else None

    async def _end_duplicates(self, job_id: JobId, found: list[Seen]) -> Seen:
        """Only the owner stays: the oldest, unless another one was first to start."""
        oldest = min(found, key=_age)
        take = partial(self._objects.of(job_id).take, oldest.batch_id)
        owner = await self._objects.write(take)
        kept = next((one for one in found if one.batch_id == owner), oldest)
        for one in found:
            if one is not kept and not one.rank.final:
                await self._clients.change(
                    "batch",
                    "terminate_job",
                    "ending a duplicate",
                    one.batch_id,
                    jobId=one.batch_id,
                    reason=DUPLICATE,
                )
        return kept


def _age(job: Seen) -> tuple[float, str]:
    return job.created_at, job.batch_id


@contextlib.contextmanager
def _perhaps_started(job_id: JobId) -> Generator[None]:
    """A failure now does not mean that nothing was started, so nobody may start it elsewhere."""
    try:
        yield
    except BackendUnavailable as exc:
        raise BackendFailed(
            f"Nobody can say whether job {job_id} was submitted: {exc.message}",
            hint="Call again with the same idempotency key: it is looked up by its name first.",
        ) from exc


class Submission:
    """Submits jobs.

    Args:
        clients, aws: where to.
        objects: the bucket, from async code.
        shipper: brings the packs of a snapshot there.
        finder: looks jobs up.
    """

    def __init__(
        self,
        clients: Clients,
        aws: AwsSettings,
        objects: Objects,
        shipper: Shipping,
        finder: Finder,
    ) -> None:
        self._clients = clients
        self._aws = aws
        self._objects = objects
        self._shipper = shipper
        self._finder = finder

    async def submit(self, spec: JobSpec) -> str | None:
        """Bring it there; the job's id in Batch, None when it was cancelled before it was started.

        Raises:
            InvalidArgument: it is too large for the queue.
            BackendUnavailable: nothing was started.
            BackendFailed: it may have been started; calling again is safe.
        """
        request = submit_job(spec, self._aws, time.time())
        objects = self._objects.of(spec.id)
        await self._objects.write(partial(self._prepare, objects, spec))
        if await self._objects.read(objects.cancel_asked):
            return None
        lost = number = 0
        while lost < _MOST_LOST:
            claim = objects.key(f"claims/{number}")
            mine = await self._claim(claim)
            with contextlib.nullcontext() if mine and number == 0 else _perhaps_started(spec.id):
                if not mine:
                    found = await self._appears(spec.id, await self._patience(claim))
                elif number == 0 or (found := await self._appears(spec.id, 0.0)) is None:
                    found, lost = await self._try(spec, request, claim), lost + 1
            if found is not None:
                return found
            number += 1
        raise BackendFailed(
            f"Nobody can say whether job {spec.id} was submitted: AWS lost {lost} answers.",
            hint="Call again with the same idempotency key: it is looked up by its name first.",
        )

    def _prepare(self, objects: JobObjects, spec: JobSpec) -> None:
        """Packs first: who sees the specification finds them."""
        self._shipper.ship(spec.snapshot)
        shared = self._shipper.repository_key(spec.snapshot)
        objects.write_spec(replace(spec, snapshot=replace(spec.snapshot, repository=shared)))

    async def _claim(self, claim: str) -> bool:
        """Whether the right to submit is ours now; nobody else's words are the same."""
        words = secrets.token_bytes(16)
        return await self._objects.write(partial(self._objects.store.put_new, claim, words))

    async def _patience(self, claim: str) -> float:
        """How long its owner may need; no time when that submit is known to have failed."""
        void = await self._objects.read(partial(self._objects.store.size, claim + _VOID))
        return _OTHERS_SUBMIT_WITHIN_S if void is None else 0.0

    async def _give_up(self, claim: str) -> None:
        await self._objects.write(partial(self._objects.store.put_new, claim + _VOID, b"-"))

    async def _try(self, spec: JobSpec, request: Json, claim: str) -> str | None:
        try:
            answer = await self._call(request)
        except AnswerLost:
            with _perhaps_started(spec.id):
                found = await self._appears(spec.id, _APPEARS_WITHIN_S)
                if found is None:
                    await self._give_up(claim)
                return found
        except BackendFailed:
            await self._give_up(claim)
            raise
        return str(answer["jobId"])

    async def _call(self, request: Json) -> Json:
        """SubmitJob; what was throttled was not done, and is asked for again."""
        for pause_s in _THROTTLED_PAUSES_S:
            with contextlib.suppress(CloudThrottled):
                return await self._clients.submit(request, request["jobQueue"])
            await anyio.sleep(pause_s)
        return await self._clients.submit(request, request["jobQueue"])

    async def _appears(self, job_id: JobId, within_s: float) -> str | None:
        until = anyio.current_time() + within_s
        while (found := await self._finder.find(job_id)) is None:
            if anyio.current_time() >= until:
                return None
            await anyio.sleep(_LOOK_EVERY_S)
        return found.batch_id
