"""Which runnable job is placed next, and where. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.job import Job
    from mcp_cloud_agents.emulator.batch.resources import ComputeEnvironment, Queue

TOO_LARGE = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue"
    " cannot meet the CPU requirement of the job."
)
Usage = Mapping[str, float]


def in_order(queue: Queue, runnable: Sequence[Job], usage: Usage) -> list[Job]:
    """The queue's jobs in the order in which they would be placed.

    First in, first out; with a scheduling policy the least used share first, in it the highest
    scheduling priority, then the oldest (AWS Batch user guide, fair-share scheduling).
    """
    policy = queue.policy
    if policy is None:
        return list(runnable)
    taken = dict(usage)
    waiting: dict[str, list[Job]] = {}
    for job in sorted(runnable, key=lambda job: (-(job.priority or 0), job.order)):
        waiting.setdefault(job.share or "", []).append(job)
    ordered: list[Job] = []
    while waiting:
        share = min(waiting, key=lambda one: taken.get(one, 0.0) * policy.weight(one))
        job = waiting[share].pop(0)
        taken[share] = taken.get(share, 0.0) + job.request.vcpus
        ordered.append(job)
        if not waiting[share]:
            del waiting[share]
    return ordered


def usage_of(queue: Queue, placed: Iterable[Job]) -> dict[str, float]:
    """VCPUs by share of the jobs that hold capacity."""
    used: dict[str, float] = {}
    for job in placed:
        if job.queue is queue:
            used[job.share or ""] = used.get(job.share or "", 0.0) + job.request.vcpus
    return used


def place(jobs: Sequence[Job]) -> Iterator[tuple[Job, ComputeEnvironment | None]]:
    """Job by job with its place, until one has none now: it blocks those behind it.

    The caller takes the capacity before it asks for the next. A job that can never fit comes with
    None. Jobs that are stuck on purpose are passed over.
    """
    for job in jobs:
        if job.stuck:
            continue
        needed = job.request.vcpus
        environments = job.queue.environments
        if all(needed > one.max_vcpus for one in environments):
            yield job, None
            return
        free = (one for one in environments if one.enabled and one.max_vcpus - one.used >= needed)
        found = next(free, None)
        if found is None:
            return
        yield job, found
