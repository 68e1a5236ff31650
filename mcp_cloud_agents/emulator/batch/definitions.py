"""Job definitions: register, describe, deregister."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.batch.compose import check_environment, check_retry
from mcp_cloud_agents.emulator.batch.environments import NAME
from mcp_cloud_agents.emulator.batch.fargate import check_size
from mcp_cloud_agents.emulator.batch.resources import Definition, requirement
from mcp_cloud_agents.emulator.batch.shapes import part, parts, words
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.state import State

Json = dict[str, Any]
_MOST_BYTES = 24 * 1024
_KEPT = (
    *("type", "parameters", "schedulingPriority", "containerProperties", "retryStrategy"),
    *("propagateTags", "timeout", "platformCapabilities"),
)
_NOT_ON_FARGATE = ("privileged", "ulimits", "instanceType")


def register(state: State, given: Json) -> Json:
    """RegisterJobDefinition, of type container with `containerProperties`."""
    name = str(given.get("jobDefinitionName", ""))
    if not NAME.fullmatch(name):
        raise Refused(f"jobDefinitionName {name!r} does not match the valid pattern")
    if len(json.dumps(given)) > _MOST_BYTES:
        raise Refused("Job definition exceeds 24 KiB")
    if given.get("type") != "container" or not given.get("containerProperties"):
        raise Refused("The emulator has job definitions of type container only")
    _check(given, state.options.minimum_timeout_s)
    revisions = state.definitions.setdefault(name, [])
    number = len(revisions) + 1
    arn = state.options.arn("batch", f"job-definition/{name}:{number}")
    kept = {key: given[key] for key in _KEPT if given.get(key) is not None}
    revisions.append(Definition(name, number, arn, kept, dict(part(given, "tags"))))
    return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": number}


def describe(state: State, given: Json) -> Json:
    """DescribeJobDefinitions: by names and ARNs, or by name and status."""
    name, status = given.get("jobDefinitionName"), given.get("status")
    named = words(given, "jobDefinitions")
    every = [one for known in state.definitions.values() for one in known]
    found = [
        one
        for one in every
        if (not name or one.name == name)
        and (not status or _status(one) == status)
        and (not named or {one.arn, one.name, f"{one.name}:{one.revision}"} & set(named))
    ]
    return {"jobDefinitions": [_told(one) for one in found]}


def deregister(state: State, given: Json) -> Json:
    """DeregisterJobDefinition."""
    wanted = str(given["jobDefinition"])
    if ":" not in wanted:
        raise Refused(f"A revision is needed to deregister: {wanted}")
    state.definition(wanted).active = False
    return {}


def _check(given: Json, minimum_timeout_s: int) -> None:
    container = given["containerProperties"]
    if not container.get("image"):
        raise Refused("Container properties need an image")
    check_environment(parts(container, "environment"))
    check_retry(part(given, "retryStrategy"))
    timeout = part(given, "timeout").get("attemptDurationSeconds")
    if timeout is not None and timeout < minimum_timeout_s:
        raise Refused(f"attemptDurationSeconds must be at least {minimum_timeout_s}: {timeout}")
    vcpus, memory = requirement(container, "VCPU"), requirement(container, "MEMORY")
    if vcpus is None or memory is None:
        raise Refused("Container properties need resource requirements VCPU and MEMORY")
    if "FARGATE" in (words(given, "platformCapabilities")):
        _check_fargate(container)
        check_size(vcpus, int(memory))


def _check_fargate(container: Json) -> None:
    if not container.get("executionRoleArn"):
        raise Refused("EXECUTION_ROLE_ARN_MISSING: executionRoleArn is required for Fargate jobs")
    if "vcpus" in container or "memory" in container:
        raise Refused("Fargate job definitions set vcpus and memory in resourceRequirements only")
    for field in _NOT_ON_FARGATE:
        if container.get(field):
            raise Refused(f"{field} is not applicable to jobs that run on Fargate")


def _status(one: Definition) -> str:
    return "ACTIVE" if one.active else "INACTIVE"


def _told(one: Definition) -> Json:
    shown: Json = {
        "volumes": [],
        "environment": [],
        "mountPoints": [],
        "ulimits": [],
        "secrets": [],
    }
    return {
        **one.given,
        "containerProperties": {**shown, **one.container},
        "jobDefinitionName": one.name,
        "jobDefinitionArn": one.arn,
        "revision": one.revision,
        "status": _status(one),
        "tags": one.tags,
        "containerOrchestrationType": "ECS",
    }
