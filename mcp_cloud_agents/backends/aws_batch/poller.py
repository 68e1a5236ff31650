"""One poller for all jobs of this process: it asks when somebody wants to know, and then for many.

No task, no thread: whoever waits for a job wakes when it is due; the first one due asks for up to
100 jobs with one DescribeJobs, the others find their answer there. Nobody waits: nothing is called.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.backends.aws_batch.answers import records
from mcp_cloud_agents.backends.aws_batch.seen import Rank, Seen, newest, seen
from mcp_cloud_agents.domain.errors import BackendFailed, CloudThrottled, CloudUnreachable
from mcp_cloud_agents.domain.job import JobId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.backends.aws_batch.clients import Clients

MOST = 100
"""Ids that one DescribeJobs takes (AWS Batch API reference)."""
_JUST_SUBMITTED_S, _YOUNG_S = 30.0, 1.0
_WATCHED_S = 2.0
_RUNNING_S = 4.0
_RUNNABLE_S = 10.0
_SWEEP_S = 60.0
"""With events, unwatched jobs are looked at this seldom."""
_CALLS_PER_S = 1.0
"""With many jobs in flight the period grows, so that no more calls are made than this."""
_FEW_JOBS = 20
"""With more than these, calls are never closer than that, even when events name jobs one by one."""
_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 1.0, 30.0
_STALE_AT_MOST_S = 60.0
"""While AWS does not answer, what is known may be told for so long."""


@dataclass(slots=True, eq=False)
class Job:
    """What the poller knows of one."""

    job_id: JobId
    batch_id: str
    since: float
    """When it was first tracked; monotonic, as all times here."""
    last: Seen | None = None
    looked_at: float = float("-inf")
    missing: int = 0
    """How often in a row Batch did not know it."""
    watchers: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)
    version: int = 0

    def change(self) -> None:
        """Wake whoever waits."""
        self.version += 1
        self.changed.set()
        self.changed = anyio.Event()

    @property
    def final(self) -> bool:
        """Whether Batch has nothing new to say."""
        return self.last is not None and self.last.rank.final


class Poller:
    """DescribeJobs for all."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._jobs: dict[JobId, Job] = {}
        self._by_batch_id: dict[str, Job] = {}
        self._open: set[Job] = set()
        self._lock = anyio.Lock()
        self._not_before = float("-inf")
        self._backoff_s = _FIRST_BACKOFF_S
        self._next_call_at = float("-inf")
        self.events = False
        """Whether changes are told by events."""

    def track(self, job_id: JobId, batch_id: str) -> Job:
        """Follow a job from now on; the same one when it is followed already."""
        found = self._jobs.get(job_id)
        if found is None or found.batch_id != batch_id:
            self.forget(job_id)
            found = Job(job_id, batch_id, anyio.current_time())
            self._jobs[job_id] = found
            self._by_batch_id[batch_id] = found
            self._open.add(found)
        return found

    def known(self, job_id: JobId) -> Job | None:
        """The job, when it is followed."""
        return self._jobs.get(job_id)

    def forget(self, job_id: JobId) -> None:
        """Nothing more is wanted of it."""
        found = self._jobs.pop(job_id, None)
        if found is not None:
            self._by_batch_id.pop(found.batch_id, None)
            self._open.discard(found)

    def told(self, batch_ids: Iterable[str]) -> set[str]:
        """Events came for these: look at them next. Returns those that nobody here follows."""
        foreign: set[str] = set()
        for batch_id in batch_ids:
            job = self._by_batch_id.get(batch_id)
            if job is None:
                foreign.add(batch_id)
            else:
                job.looked_at = float("-inf")
                job.change()
        return foreign

    def due_in(self, job: Job) -> float:
        """Seconds until the job should be looked at again; 0 or less: now."""
        if job.final:
            return float("inf")
        held_until = max(self._not_before, self._next_call_at if self.crowded else 0.0)
        return max(job.looked_at + self._period(job), held_until) - anyio.current_time()

    async def fresh(self, job: Job) -> Seen | None:
        """What Batch says, not older than its period; None: it does not know the job.

        Raises:
            BackendFailed: it cannot be asked, and what is known is too old.
        """
        if self.due_in(job) <= 0:
            wanted_at = anyio.current_time()
            async with self._lock:
                if job.looked_at < wanted_at and self.due_in(job) <= 0:
                    await self._look(job)
        return job.last

    @property
    def crowded(self) -> bool:
        """Whether so many jobs are followed that calls are rationed."""
        return len(self._open) > _FEW_JOBS

    def _period(self, job: Job) -> float:
        now, rank = anyio.current_time(), job.last.rank if job.last else Rank.SUBMITTED
        young = now - job.since < _JUST_SUBMITTED_S
        if self.events:
            base = _RUNNABLE_S if job.watchers else _SWEEP_S
        elif job.watchers or job.last is None:
            base = _YOUNG_S if young else _WATCHED_S
        else:
            base = _RUNNING_S if rank >= Rank.STARTING else _RUNNABLE_S
        calls = -(-len(self._open) // MOST)
        return max(base, calls / _CALLS_PER_S)

    async def _look(self, first: Job) -> None:
        """Ask for the job, and for those that are due next, in one call."""
        batch = self._with_others(first)
        self._next_call_at = anyio.current_time() + 1 / _CALLS_PER_S
        try:
            answer = await self._clients.read(
                "batch",
                "describe_jobs",
                "looking at jobs",
                first.batch_id,
                jobs=[job.batch_id for job in batch],
            )
        except (CloudThrottled, CloudUnreachable) as exc:
            self._back_off(first, exc)
            return
        self._backoff_s = _FIRST_BACKOFF_S
        found = {one.batch_id: one for one in map(seen, records(answer, "jobs")) if one}
        for job in batch:
            self._note(job, found.get(job.batch_id))

    def _with_others(self, first: Job) -> list[Job]:
        others = (one for one in self._open if one is not first)
        return [first, *heapq.nsmallest(MOST - 1, others, key=_looked_at)]

    def _note(self, job: Job, news: Seen | None) -> None:
        job.looked_at = anyio.current_time()
        if news is None:
            job.missing += 1
            return
        job.missing = 0
        newer = newest(job.last, news)
        if newer != job.last:
            job.last = newer
            job.change()
        if job.final:
            self._open.discard(job)

    def _back_off(self, job: Job, exc: BackendFailed) -> None:
        """Nobody asks for a while; what is known is told meanwhile, unless it is too old."""
        now = anyio.current_time()
        self._not_before = now + self._backoff_s
        self._backoff_s = min(_LAST_BACKOFF_S, 2 * self._backoff_s)
        if job.last is None or now - job.looked_at > _STALE_AT_MOST_S:
            raise exc


def _looked_at(job: Job) -> tuple[float, float]:
    return job.looked_at, job.since
