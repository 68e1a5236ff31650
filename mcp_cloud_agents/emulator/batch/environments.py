"""Compute environments, queues and scheduling policies: create, describe, update, delete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from mcp_cloud_agents.emulator.batch.resources import (
    ComputeEnvironment,
    Queue,
    SchedulingPolicy,
)
from mcp_cloud_agents.emulator.batch.shapes import part, parts
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.emulator.batch.state import State

Json = dict[str, Any]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_KINDS = frozenset({"FARGATE", "FARGATE_SPOT", "EC2", "SPOT"})
_MOST_ENVIRONMENTS = 3
Known = TypeVar("Known", ComputeEnvironment, Queue, SchedulingPolicy)


def create_environment(state: State, given: Json) -> Json:
    """CreateComputeEnvironment, managed ones only."""
    name = new_name(given, "computeEnvironmentName", state.environments)
    resources = part(given, "computeResources")
    if given.get("type") != "MANAGED" or resources.get("type") not in _KINDS:
        raise Refused("The emulator has MANAGED environments of FARGATE, FARGATE_SPOT, EC2, SPOT")
    if not resources.get("subnets") or not isinstance(resources.get("maxvCpus"), int):
        raise Refused("computeResources needs subnets and maxvCpus")
    if str(resources["type"]).startswith("FARGATE") and not resources.get("securityGroupIds"):
        raise Refused("securityGroupIds are required for Fargate compute environments")
    arn = state.options.arn("batch", f"compute-environment/{name}")
    state.environments[name] = ComputeEnvironment(
        name, arn, given, dict(part(given, "tags")), enabled=_enabled(given)
    )
    return {"computeEnvironmentName": name, "computeEnvironmentArn": arn}


def describe_environments(state: State, given: Json) -> Json:
    """DescribeComputeEnvironments."""
    found = wanted(state.environments.values(), given.get("computeEnvironments"))
    return {"computeEnvironments": [_environment(state, one) for one in found]}


def update_environment(state: State, given: Json) -> Json:
    """UpdateComputeEnvironment."""
    found = state.environment(given["computeEnvironment"])
    found.enabled = _enabled(given, found.enabled)
    changes: Json = part(given, "computeResources")
    found.given = {
        **found.given,
        "computeResources": {**found.given["computeResources"], **changes},
    }
    return {"computeEnvironmentName": found.name, "computeEnvironmentArn": found.arn}


def delete_environment(state: State, given: Json) -> Json:
    """DeleteComputeEnvironment: disabled, and in no queue."""
    found = state.environment(given["computeEnvironment"])
    if found.enabled:
        raise Refused("Cannot delete, compute environment must be in DISABLED state")
    if any(found in queue.environments for queue in state.queues.values()):
        raise Refused("Cannot delete, found existing JobQueue relationship")
    del state.environments[found.name]
    return {}


def create_queue(state: State, given: Json) -> Json:
    """CreateJobQueue."""
    name = new_name(given, "jobQueueName", state.queues)
    arn = state.options.arn("batch", f"job-queue/{name}")
    queue = Queue(
        name=name,
        arn=arn,
        priority=int(given.get("priority") or 0),
        environments=_environments(state, parts(given, "computeEnvironmentOrder")),
        policy=_policy(state, given),
        limits=_limits(state, given),
        tags=dict(part(given, "tags")),
        enabled=_enabled(given),
    )
    state.queues[name] = queue
    return {"jobQueueName": name, "jobQueueArn": arn}


def describe_queues(state: State, given: Json) -> Json:
    """DescribeJobQueues."""
    found = wanted(state.queues.values(), given.get("jobQueues"))
    return {"jobQueues": [_queue(one) for one in found]}


def update_queue(state: State, given: Json) -> Json:
    """UpdateJobQueue."""
    found = state.queue(given["jobQueue"])
    found.enabled = _enabled(given, found.enabled)
    if given.get("priority") is not None:
        found.priority = int(given["priority"])
    if given.get("computeEnvironmentOrder"):
        found.environments = _environments(state, given["computeEnvironmentOrder"])
    if given.get("schedulingPolicyArn"):
        found.policy = _policy(state, given)
    if given.get("jobStateTimeLimitActions") is not None:
        found.limits = _limits(state, given)
    return {"jobQueueName": found.name, "jobQueueArn": found.arn}


def delete_queue(state: State, given: Json) -> Json:
    """DeleteJobQueue: disabled only. Jobs in it stay describable."""
    found = state.queue(given["jobQueue"])
    if found.enabled:
        raise Refused("Cannot delete, job queue must be in DISABLED state")
    del state.queues[found.name]
    return {}


def create_policy(state: State, given: Json) -> Json:
    """CreateSchedulingPolicy, fair share."""
    name = new_name(given, "name", state.policies)
    arn = state.options.arn("batch", f"scheduling-policy/{name}")
    policy = part(given, "fairsharePolicy")
    state.policies[name] = SchedulingPolicy(name, arn, policy, dict(part(given, "tags")))
    return {"name": name, "arn": arn}


def describe_policies(state: State, given: Json) -> Json:
    """DescribeSchedulingPolicies."""
    found = wanted(state.policies.values(), given.get("arns"))
    return {
        "schedulingPolicies": [
            {"name": one.name, "arn": one.arn, "fairsharePolicy": one.given, "tags": one.tags}
            for one in found
        ]
    }


def list_policies(state: State, given: Json) -> Json:
    """ListSchedulingPolicies."""
    del given
    return {"schedulingPolicies": [{"arn": one.arn} for one in state.policies.values()]}


def update_policy(state: State, given: Json) -> Json:
    """UpdateSchedulingPolicy."""
    state.policy(given["arn"]).given = part(given, "fairsharePolicy")
    return {}


def delete_policy(state: State, given: Json) -> Json:
    """DeleteSchedulingPolicy: in no queue."""
    found = state.policy(given["arn"])
    if any(queue.policy is found for queue in state.queues.values()):
        raise Refused("Cannot delete, found existing JobQueue relationship")
    del state.policies[found.name]
    return {}


def new_name(given: Json, field: str, known: Iterable[str]) -> str:
    """A valid name that nothing has yet.

    Raises:
        Refused: it is not.
    """
    name = str(given.get(field, ""))
    if not NAME.fullmatch(name):
        raise Refused(f"{field} {name!r} does not match the valid pattern")
    if name in known:
        raise Refused("Object already exists")
    return name


def wanted(known: Iterable[Known], names: list[str] | None) -> list[Known]:
    """Those named, by name or ARN; without names all. Unknown ones are left out."""
    return [one for one in known if not names or one.name in names or one.arn in names]


def _enabled(given: Json, otherwise: bool = True) -> bool:  # noqa: FBT001, FBT002  the old state
    state = given.get("state")
    return otherwise if state is None else state == "ENABLED"


def _environments(state: State, order: list[Json]) -> list[ComputeEnvironment]:
    if not 1 <= len(order) <= _MOST_ENVIRONMENTS:
        raise Refused(f"A queue has 1 to {_MOST_ENVIRONMENTS} compute environments")
    found = [
        state.environment(one["computeEnvironment"])
        for one in sorted(order, key=lambda one: int(one["order"]))
    ]
    if len({one.fargate for one in found}) > 1:
        raise Refused("Fargate and EC2 compute environments cannot be mixed in one queue")
    return found


def _policy(state: State, given: Json) -> SchedulingPolicy | None:
    arn = given.get("schedulingPolicyArn")
    return state.policy(arn) if arn else None


def _limits(state: State, given: Json) -> list[Json]:
    limits: list[Json] = parts(given, "jobStateTimeLimitActions")
    least = state.options.minimum_runnable_s
    for one in limits:
        if one.get("state") != "RUNNABLE" or one.get("action") != "CANCEL":
            raise Refused("jobStateTimeLimitActions: state RUNNABLE and action CANCEL only")
        if not least <= int(one["maxTimeSeconds"]) <= 86_400:
            raise Refused(f"maxTimeSeconds must be between {least} and 86400")
    return limits


def _environment(state: State, one: ComputeEnvironment) -> Json:
    return {
        "computeEnvironmentName": one.name,
        "computeEnvironmentArn": one.arn,
        "ecsClusterArn": state.options.arn("ecs", f"cluster/{one.name}_Batch"),
        "tags": one.tags,
        "type": "MANAGED",
        "state": "ENABLED" if one.enabled else "DISABLED",
        "status": "VALID",
        "statusReason": "ComputeEnvironment Healthy",
        "computeResources": {"tags": {}, **one.given["computeResources"]},
        "serviceRole": one.given.get("serviceRole")
        or "arn:aws:iam::"
        f"{one.arn.split(':')[4]}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch",
        "containerOrchestrationType": "ECS",
    }


def _queue(one: Queue) -> Json:
    told: Json = {
        "jobQueueName": one.name,
        "jobQueueArn": one.arn,
        "state": "ENABLED" if one.enabled else "DISABLED",
        "status": "VALID",
        "statusReason": "JobQueue Healthy",
        "priority": one.priority,
        "computeEnvironmentOrder": [
            {"order": number, "computeEnvironment": environment.arn}
            for number, environment in enumerate(one.environments, 1)
        ],
        "jobQueueType": "ECS_FARGATE" if one.environments[0].fargate else "ECS",
        "tags": one.tags,
        "jobStateTimeLimitActions": one.limits,
    }
    return told | ({"schedulingPolicyArn": one.policy.arn} if one.policy else {})
