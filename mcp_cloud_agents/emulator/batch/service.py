"""The emulated AWS Batch: one method for each call of its API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote

from mcp_cloud_agents.emulator import job_faults
from mcp_cloud_agents.emulator.batch import definitions, environments, listing
from mcp_cloud_agents.emulator.batch.engine import Engine
from mcp_cloud_agents.emulator.batch.shapes import part, parts, words
from mcp_cloud_agents.emulator.batch.state import State
from mcp_cloud_agents.emulator.batch.submit import MOST_BYTES, submit
from mcp_cloud_agents.emulator.batch.views import detail
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]
_MOST_DESCRIBED, _MOST_STOPPED, _LONGEST_REASON = 100, 50, 1_024
_CHANGES: Mapping[str, Callable[[State, Json], Json]] = {
    "CreateComputeEnvironment": environments.create_environment,
    "UpdateComputeEnvironment": environments.update_environment,
    "DeleteComputeEnvironment": environments.delete_environment,
    "CreateJobQueue": environments.create_queue,
    "UpdateJobQueue": environments.update_queue,
    "DeleteJobQueue": environments.delete_queue,
    "CreateSchedulingPolicy": environments.create_policy,
    "UpdateSchedulingPolicy": environments.update_policy,
    "DeleteSchedulingPolicy": environments.delete_policy,
    "RegisterJobDefinition": definitions.register,
    "DeregisterJobDefinition": definitions.deregister,
}
_READS: Mapping[str, Callable[[State, Json], Json]] = {
    "DescribeComputeEnvironments": environments.describe_environments,
    "DescribeJobQueues": environments.describe_queues,
    "DescribeSchedulingPolicies": environments.describe_policies,
    "ListSchedulingPolicies": environments.list_policies,
    "DescribeJobDefinitions": definitions.describe,
    "ListJobs": listing.list_jobs,
}
_OWN = (
    *("SubmitJob", "DescribeJobs", "TerminateJob", "CancelJob", "TerminateJobs", "CancelJobs"),
    "GetJobQueueSnapshot",
)
ACTIONS = {name.lower(): name for name in (*_CHANGES, *_READS, *_OWN)}
_TAGS = {"GET": "ListTagsForResource", "POST": "TagResource", "DELETE": "UntagResource"}


def action_of(method: str, path: str) -> str | None:
    """The API's name of a request, None when this emulator does not have it."""
    if path.startswith("/v1/tags/"):
        return _TAGS.get(method)
    return ACTIONS.get(path.removeprefix("/v1/"))


@dataclass(slots=True)
class Batch:
    """Answers requests; jobs run in the engine."""

    state: State
    engine: Engine

    def answer(self, method: str, path: str, query: str, body: bytes) -> Json:
        """The answer as JSON.

        Raises:
            Refused: the API would answer with an error.
        """
        action = action_of(method, path)
        if action is None:
            raise Refused(f"The emulator has no {method} {path}", code="UnknownOperationException")
        if action in _TAGS.values():
            return self._tags(method, unquote(path.removeprefix("/v1/tags/")), query, body)
        given = _json(body)
        with self.state.lock:
            if action in _READS:
                return _READS[action](self.state, given)
            if action in _CHANGES:
                answer = _CHANGES[action](self.state, given)
                self.engine.changed()
                return answer
            return self._own(action, given, len(body))

    def _own(self, action: str, given: Json, size: int) -> Json:
        match action:
            case "SubmitJob":
                return self._submit(given, size)
            case "DescribeJobs":
                return self._describe(given)
            case "GetJobQueueSnapshot":
                queue = self.state.queue(given.get("jobQueue", ""))
                waiting = listing.waiting_in(self.engine.runnable, queue)
                return listing.snapshot(self.state, given, waiting, self.engine.placed)
            case "TerminateJob" | "CancelJob":
                self._stop([given.get("jobId", "")], given, terminate=action == "TerminateJob")
                return {}
            case _:
                return self._stop_many(given, terminate=action == "TerminateJobs")

    def _submit(self, given: Json, size: int) -> Json:
        if size > MOST_BYTES:
            raise Refused("Job payload exceeds the maximum of 30 KiB")
        _check_faults(given)
        jobs = submit(self.state, given)
        self.engine.submitted(jobs)
        return {"jobArn": jobs[0].arn, "jobName": jobs[0].name, "jobId": jobs[0].id}

    def _describe(self, given: Json) -> Json:
        ids = words(given, "jobs")
        if not 1 <= len(ids) <= _MOST_DESCRIBED:
            raise Refused(f"The number of jobs must be between 1 and {_MOST_DESCRIBED}")
        found = (self.state.job(one) for one in ids)
        return {"jobs": [detail(job) for job in found if job is not None]}

    def _stop_many(self, given: Json, *, terminate: bool) -> Json:
        ids: list[str] = words(given, "jobs")
        if not 1 <= len(ids) <= _MOST_STOPPED:
            raise Refused(f"The number of jobs must be between 1 and {_MOST_STOPPED}")
        self._stop(ids, given, terminate=terminate)
        return {"successful": ids, "errors": []}

    def _stop(self, ids: list[str], given: Json, *, terminate: bool) -> None:
        """Unknown ids count as stopped (documented for the bulk calls)."""
        reason = given.get("reason")
        if not reason or len(reason) > _LONGEST_REASON:
            raise Refused(f"A reason of 1 to {_LONGEST_REASON} characters is needed")
        for one in ids:
            if (job := self.state.job(one)) is not None:
                self.engine.stop(job, reason, terminate=terminate)

    def _tags(self, method: str, arn: str, query: str, body: bytes) -> Json:
        with self.state.lock:
            tags = self._tagged(arn)
            if method == "GET":
                return {"tags": tags}
            if method == "POST":
                tags |= _json(body).get("tags") or {}
            else:
                for key in parse_qs(query).get("tagKeys", []):
                    tags.pop(key, None)
            return {}

    def _tagged(self, arn: str) -> dict[str, str]:
        kind = arn.rpartition(":")[2] if "job-definition" not in arn else "job-definition/"
        match kind.partition("/")[0]:
            case "compute-environment":
                return self.state.environment(arn).tags
            case "job-queue":
                return self.state.queue(arn).tags
            case "scheduling-policy":
                return self.state.policy(arn).tags
            case "job-definition":
                return self.state.definition(arn).tags
            case _:
                job = self.state.job(arn)
                if job is None:
                    raise Refused(f"{arn} does not exist")
                return dict(job.request.tags)


def _json(body: bytes) -> Json:
    try:
        given: object = json.loads(body or b"{}")
    except ValueError as exc:
        raise Refused(f"The request is no JSON: {exc}", code="SerializationException") from exc
    if not isinstance(given, dict):
        raise Refused("The request is no JSON object", code="SerializationException")
    return cast("Json", given)


def _check_faults(given: Json) -> None:
    variables = parts(part(given, "containerOverrides"), "environment")
    told = [one.get("value", "") for one in variables if one.get("name") == job_faults.VARIABLE]
    for text in (*told, part(given, "tags").get(job_faults.TAG)):
        if text:
            job_faults.parse(text)
