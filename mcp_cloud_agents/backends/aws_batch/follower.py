"""Keeps what is known of jobs fresh: Batch's word, the worker's, the live log, each when it is due.

Everything is asked for by whoever wants to know; in between nothing is called. Where the account
has a queue of events, it is listened to while somebody watches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.backends.aws_batch.events import Events
from mcp_cloud_agents.backends.aws_batch.logs import LiveLog
from mcp_cloud_agents.backends.aws_batch.poller import Poller
from mcp_cloud_agents.backends.aws_batch.rationed_log import RationedLogs
from mcp_cloud_agents.backends.aws_batch.request import size_of
from mcp_cloud_agents.backends.aws_batch.runnable import Lines
from mcp_cloud_agents.backends.aws_batch.seen import Rank, Seen
from mcp_cloud_agents.backends.aws_batch.status import needs_worker
from mcp_cloud_agents.backends.aws_batch.tracked import (
    TAILS,
    Tracked,
    Turns,
    tail_period_s,
    wall_clock,
)

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.backends.aws_batch.objects import Objects
    from mcp_cloud_agents.backends.aws_batch.submission import Finder
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.ports.backend import Bytes
    from mcp_cloud_agents.settings import AwsSettings

_MOST_JOBS = 5_000
_TAIL_KEPT_S = 10.0
_STATE_EVERY_S, _TAIL_EVERY_S = 2.0, 4.0
"""Of all jobs together, while more than a few are open."""


class Follower:
    """All jobs that somebody asked about in this process.

    Args:
        clients, aws: where to look.
        objects: the bucket, from async code.
        finder: looks up jobs that others submitted.
    """

    def __init__(
        self, clients: Clients, aws: AwsSettings, objects: Objects, finder: Finder
    ) -> None:
        self._clients = clients
        self._aws = aws
        self._objects = objects
        self._finder = finder
        self._poller = Poller(clients)
        self._events = Events(clients, aws.events_queue_url, self._poller)
        self._lines = Lines(clients)
        self._logs = RationedLogs(objects)
        self._states, self._tail_turns = Turns(_STATE_EVERY_S), Turns(_TAIL_EVERY_S)
        self._jobs: dict[JobId, Tracked] = {}
        self._open: set[JobId] = set()
        self._tailed: set[Tracked] = set()

    async def job(self, job_id: JobId) -> Tracked:
        """The job; its specification is read once.

        Raises:
            UnknownJob, JobCorrupt: from its specification.
            BackendFailed: the bucket cannot be read.
        """
        found = self._jobs.get(job_id)
        if found is None:
            objects = self._objects.of(job_id)
            spec = await self._objects.read(objects.spec)
            found = self._jobs.setdefault(job_id, Tracked(spec, objects))
            self._open.add(job_id)
            self._forget_oldest()
        return found

    def submitted(self, job: Tracked, batch_id: str) -> None:
        """It is in Batch under this id."""
        job.poll = self._poller.track(job.spec.id, batch_id)
        job.poll.watchers = job.watchers
        job.poll.change()
        job.version += 1

    async def batch(self, job: Tracked) -> Seen | None:
        """Batch's word; None: it has no such job.

        Raises:
            BackendFailed: it cannot be asked.
        """
        if job.poll is None and job.find_due_in() <= 0:
            async with job.lock:
                if job.poll is None and job.find_due_in() <= 0:
                    await self._find(job)
        if job.poll is None:
            return None
        seen = await self._poller.fresh(job.poll)
        if seen is not None or job.forgotten:
            return seen
        return Seen(batch_id=job.poll.batch_id, rank=Rank.SUBMITTED, created_at=job.spec.created_at)

    async def stored(self, job: Tracked, *, now: bool = False) -> None:
        """Read the worker's word, when that is due."""
        due = job.state_due_in(self.open_jobs) <= 0
        if now or (due and self._states.take(self.open_jobs)):
            job.take_stored(await self._objects.read(job.objects.state))

    async def waiting(self, job: Tracked, seen: Seen) -> str:
        """Why no machine has it yet; empty when one has, or nobody can say."""
        if seen.rank is not Rank.RUNNABLE:
            return ""
        vcpus = size_of(job.spec.limits, self._aws).vcpus
        return await self._lines.why(seen, vcpus=vcpus, now=wall_clock())

    async def refresh(self, job: Tracked) -> None:
        """Look at everything of a watched job that is due. Raises BackendFailed."""
        self._events.want()
        seen = await self.batch(job)
        if needs_worker(seen) and seen is not None:
            await self.stored(job)
        await self.catch_up(job)

    async def catch_up(self, job: Tracked) -> None:
        """Read on in the live log of a job that runs."""
        seen = job.batch
        if seen is None or seen.rank is not Rank.RUNNING or (live := self.live(job)) is None:
            return
        least_s = tail_period_s(self._tails())
        if live.due_in(least_s=least_s) > 0 or not self._tail_turns.take(self.open_jobs):
            return
        if await live.catch_up(seen.streams, least_s=least_s) and live.end > job.log_end:
            job.log_end = live.end
            job.version += 1

    async def durable(self, job: Tracked, *, offset: int, limit: int) -> Bytes:
        """A piece of the log in the bucket. Raises BackendFailed."""
        return await self._logs.read(job, offset=offset, limit=limit, open_jobs=self.open_jobs)

    def live(self, job: Tracked) -> LiveLog | None:
        """The job's live log, while few enough are followed."""
        if job.live is None and self._tails() < TAILS:
            job.live = LiveLog(self._clients, self._aws.log_group)
            self._tailed.add(job)
        return job.live

    def last_look(self, job: Tracked) -> LiveLog:
        """The live log of a job that has ended: read once, so it is not rationed."""
        if job.live is None:
            job.live = LiveLog(self._clients, self._aws.log_group)
        return job.live

    def due_in(self, job: Tracked) -> float:
        """Seconds until something of a watched job is due."""
        if job.poll is None:
            return max(0.05, job.find_due_in())
        due = self._poller.due_in(job.poll)
        seen = job.poll.last
        if seen is not None and seen.rank is Rank.RUNNING:
            state = max(job.state_due_in(self.open_jobs), self._states.due_in(self.open_jobs))
            due = min(due, state)
            if job.live is not None:
                tail = job.live.due_in(least_s=tail_period_s(self._tails()))
                due = min(due, max(tail, self._tail_turns.due_in(self.open_jobs)))
        return max(0.05, due)

    def watch(self, job: Tracked, by: int) -> None:
        """One watcher more or less."""
        job.watchers += by
        if job.poll is not None:
            job.poll.watchers = job.watchers

    def ended(self, job: Tracked) -> None:
        """Nothing more is to come of it."""
        self._open.discard(job.spec.id)
        job.durable = None

    @property
    def open_jobs(self) -> int:
        """How many are not known to be done."""
        return len(self._open)

    async def _find(self, job: Tracked) -> None:
        found = await self._finder.find(job.spec.id)
        job.sought_at = anyio.current_time()
        if found is not None:
            self.submitted(job, found.batch_id)

    def _tails(self) -> int:
        """Live logs that somebody follows; others give their place free."""
        now = anyio.current_time()
        for job in tuple(self._tailed):
            used = job.watchers or now - job.used_at < _TAIL_KEPT_S
            if job.final is not None or not used:
                self._tailed.discard(job)
                job.live = job.live if job.final is not None else None
        return len(self._tailed)

    def _forget_oldest(self) -> None:
        """A server that runs for months; what is asked for again is read again."""
        if len(self._jobs) <= _MOST_JOBS:
            return
        for job_id, job in list(self._jobs.items())[: _MOST_JOBS // 10]:
            if job.final is not None and not job.watchers:
                del self._jobs[job_id]
                self._poller.forget(job_id)
