"""ListJobs and GetJobQueueSnapshot, as the API reference has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.batch.job import Job, Status, now_ms
from mcp_cloud_agents.emulator.batch.placement import in_order, usage_of
from mcp_cloud_agents.emulator.batch.shapes import parts, words
from mcp_cloud_agents.emulator.batch.views import summary
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.resources import Queue
    from mcp_cloud_agents.emulator.batch.state import State

Json = dict[str, Any]
Test = Callable[[Job], bool]
_MOST, _MOST_FILTERED, _FRONT = 1_000, 100, 100


def list_jobs(state: State, given: Json) -> Json:
    """Newest first. Without a status, and without a filter, only what is RUNNING."""
    jobs, test, most = _wanted(state, given)
    limit = min(int(given.get("maxResults") or most), most)
    if limit < 1:
        raise Refused("maxResults must be at least 1")
    before = _position(given.get("nextToken"))
    found = [
        job
        for job in sorted(jobs, key=lambda job: -job.order)
        if (before is None or job.order < before) and test(job)
    ]
    page: Json = {"jobSummaryList": [summary(job) for job in found[:limit]]}
    return page | ({"nextToken": f"before-{found[limit - 1].order}"} if found[limit:] else {})


def snapshot(state: State, given: Json, waiting: list[Job], placed: set[Job]) -> Json:
    """GetJobQueueSnapshot: the front of the queue in the order of dispatch, and what is used."""
    queue = state.queue(given.get("jobQueue", ""))
    used = usage_of(queue, placed)
    ordered, at = in_order(queue, waiting, used), now_ms()
    utilization: Json = {
        "totalCapacityUsage": _vcpus(sum(used.values())),
        "lastUpdatedAt": at,
    }
    if queue.policy is not None:
        utilization["fairshareUtilization"] = {
            "activeShareCount": len(used),
            "topCapacityUtilization": [
                {"shareIdentifier": share, "capacityUsage": _vcpus(vcpus)}
                for share, vcpus in sorted(used.items(), key=lambda one: -one[1])
            ],
        }
    front = [{"jobArn": job.arn, "earliestTimeAtPosition": at} for job in ordered[:_FRONT]]
    return {
        "frontOfQueue": {"jobs": front, "lastUpdatedAt": at},
        "queueUtilization": utilization,
    }


def _vcpus(quantity: float) -> list[Json]:
    return [{"capacityUnit": "VCPU", "quantity": quantity}]


def _position(token: str | None) -> int | None:
    if token is None:
        return None
    prefix, _, order = token.partition("-")
    if prefix != "before" or not order.isdecimal():
        raise Refused("The nextToken is not valid")
    return int(order)


def _wanted(state: State, given: Json) -> tuple[list[Job], Test, int]:
    """The jobs to look at, the test each has to pass, and the largest page."""
    status = given.get("jobStatus")
    if status is not None and status not in Status.__members__:
        raise Refused(f"jobStatus {status!r} is not valid")
    shown = Status(status or Status.RUNNING)

    def has_status(job: Job) -> bool:
        return job.status is shown

    if sum(bool(given.get(one)) for one in ("jobQueue", "arrayJobId", "multiNodeJobId")) != 1:
        raise Refused("Exactly one of jobQueue, arrayJobId, multiNodeJobId is needed")
    if given.get("arrayJobId"):
        parent = state.job(given["arrayJobId"])
        if parent is None:
            raise Refused(f"Job {given['arrayJobId']} does not exist")
        return parent.children, has_status, _MOST
    queue = state.queue(given.get("jobQueue", ""))
    jobs = [job for job in state.jobs.values() if job.parent is None and job.queue is queue]
    filters = parts(given, "filters")
    if len(filters) > 1:
        raise Refused("Only one filter can be used at a time")
    if not filters:
        return jobs, has_status, _MOST
    test = _filter(filters[0])
    if filters[0]["name"] == "SHARE_IDENTIFIER" and status is not None:
        return jobs, lambda job: test(job) and has_status(job), _MOST_FILTERED
    return jobs, test, _MOST_FILTERED


def _filter(given: Json) -> Test:
    name, values = given.get("name"), words(given, "values")
    if len(values) != 1:
        raise Refused("A filter has exactly one value")
    value = str(values[0])
    match name:
        case "JOB_NAME":
            return lambda job: _glob(value.lower(), job.name.lower())
        case "JOB_DEFINITION" if value.startswith("arn:"):
            return lambda job: job.definition.arn == value
        case "JOB_DEFINITION":
            return lambda job: _glob(value, job.definition.name)
        case "SHARE_IDENTIFIER":
            return lambda job: _glob(value, job.share or "")
        case "BEFORE_CREATED_AT" if value.isdecimal():
            return lambda job: job.created_at < int(value)
        case "AFTER_CREATED_AT" if value.isdecimal():
            return lambda job: job.created_at > int(value)
        case _:
            raise Refused(f"The filter {name}={value} is not valid")


def _glob(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def waiting_in(runnable: dict[Queue, list[Job]], queue: Queue) -> list[Job]:
    """The queue's runnable jobs, oldest first."""
    return runnable.get(queue, [])
