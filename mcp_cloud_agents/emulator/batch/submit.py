"""SubmitJob: refusals, dependencies, arrays."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.batch.compose import compose
from mcp_cloud_agents.emulator.batch.job import FINAL, Job, Request, Status
from mcp_cloud_agents.emulator.batch.shapes import part, parts
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.resources import Definition, Queue
    from mcp_cloud_agents.emulator.batch.state import State

Json = dict[str, Any]
MOST_BYTES = 30 * 1024
_MOST_DEPENDENCIES = 20
_SIZES = range(2, 10_001)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def submit(state: State, given: Json) -> list[Job]:
    """Make the job and, for an array, its children after it.

    Raises:
        Refused: as Batch does.
    """
    name = given.get("jobName", "")
    if not _NAME.fullmatch(name):
        raise Refused("Job name should match valid pattern")
    queue = state.queue(given.get("jobQueue", ""))
    definition = state.definition(given.get("jobDefinition", ""))
    _check_queue(queue, definition, given)
    request = compose(definition, given, state.options.minimum_timeout_s)
    size = part(given, "arrayProperties").get("size")
    if size is not None and size not in _SIZES:
        raise Refused("Array size must be between 2 and 10000")
    parent = _job(state, str(uuid.uuid4()), queue, definition, request)
    parent.size = size
    for index in range(size or 0):
        child = _job(state, f"{parent.id}:{index}", queue, definition, request)
        child.index, child.parent = index, parent
        parent.children.append(child)
    _depend(state, parent, parts(given, "dependsOn"))
    jobs = [parent, *parent.children]
    state.jobs.update({job.id: job for job in jobs})
    return jobs


def _job(state: State, job_id: str, queue: Queue, definition: Definition, request: Request) -> Job:
    given = request.given
    return Job(
        id=job_id,
        name=given["jobName"],
        arn=state.options.arn("batch", f"job/{job_id}"),
        order=next(state.orders),
        queue=queue,
        definition=definition,
        request=request,
        share=given.get("shareIdentifier"),
        priority=given.get(
            "schedulingPriorityOverride", definition.given.get("schedulingPriority")
        ),
    )


def _check_queue(queue: Queue, definition: Definition, given: Json) -> None:
    if not queue.enabled:
        raise Refused(f"Cannot submit job as job queue {queue.name} is in DISABLED state")
    if queue.policy is not None and not given.get("shareIdentifier"):
        raise Refused("A share identifier is required: the job queue has a scheduling policy")
    if queue.policy is None and given.get("shareIdentifier"):
        raise Refused("A share identifier is not allowed: the job queue has no scheduling policy")
    if queue.environments and queue.environments[0].fargate != definition.fargate:
        wanted = "FARGATE" if definition.fargate else "EC2"
        raise Refused(f"Job queue {queue.name} does not support platform capability {wanted}")


def _depend(state: State, parent: Job, wanted: list[Json]) -> None:
    if len(wanted) > _MOST_DEPENDENCIES:
        raise Refused(f"At most {_MOST_DEPENDENCIES} dependencies are allowed")
    pairs: list[tuple[Job, Job]] = []
    for one in wanted:
        kind, job_id = one.get("type"), one.get("jobId")
        if kind == "SEQUENTIAL" and not job_id:
            pairs += _sequential(parent)
            continue
        other = state.job(job_id or "")
        if other is None:
            raise Refused(f"Dependency {job_id} does not exist")
        pairs += _one_to_one(parent, other) if kind == "N_TO_N" else _plain(parent, other)
    for job, other in pairs:
        if other.status is Status.SUCCEEDED:
            continue
        job.blockers.add(other.id)
        if other.status not in FINAL:
            other.dependents.append(job)


def _sequential(parent: Job) -> list[tuple[Job, Job]]:
    if parent.size is None:
        raise Refused("SEQUENTIAL dependencies are for array jobs only")
    return list(zip(parent.children[1:], parent.children, strict=False))


def _one_to_one(parent: Job, other: Job) -> list[tuple[Job, Job]]:
    if parent.size is None or other.size != parent.size:
        raise Refused("N_TO_N dependencies need two array jobs of the same size")
    return list(zip(parent.children, other.children, strict=True))


def _plain(parent: Job, other: Job) -> list[tuple[Job, Job]]:
    return [(job, other) for job in (parent.children or [parent])]
