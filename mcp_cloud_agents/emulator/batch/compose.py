"""What a job is to do: its definition, and what SubmitJob changed in it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.batch.fargate import check_size
from mcp_cloud_agents.emulator.batch.job import Request
from mcp_cloud_agents.emulator.batch.resources import Definition, requirement
from mcp_cloud_agents.emulator.batch.shapes import part, parts, words
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
_MOST_TAGS = 50
_MOST_ATTEMPTS = 10
_MOST_CONDITIONS = 5
_GLOBS = {
    "onExitCode": re.compile(r"[0-9]*\*?"),
    "onReason": re.compile(r"[A-Za-z0-9.:\s]*\*?"),
    "onStatusReason": re.compile(r"[A-Za-z0-9.:\s]*\*?"),
}


def compose(definition: Definition, given: Json, minimum_timeout_s: int) -> Request:
    """One job's request.

    Raises:
        Refused: Batch would not take it.
    """
    container = _container(definition, part(given, "containerOverrides"))
    vcpus, memory = requirement(container, "VCPU"), requirement(container, "MEMORY")
    if vcpus is None or memory is None:
        raise Refused("Both vcpus and memory requirements must be set")
    if definition.fargate:
        check_size(vcpus, int(memory))
    parameters = {**definition.given.get("parameters", {}), **given.get("parameters", {})}
    timeout = given.get("timeout") or part(definition.given, "timeout")
    retry = given.get("retryStrategy") or part(definition.given, "retryStrategy")
    check_retry(retry)
    tags = dict(part(given, "tags"))
    if len(tags) > _MOST_TAGS:
        raise Refused(f"Too many tags: at most {_MOST_TAGS}")
    return Request(
        command=tuple(with_parameters(words(container, "command"), parameters)),
        environment={one["name"]: one.get("value", "") for one in container["environment"]},
        container=container,
        vcpus=vcpus,
        memory_mib=int(memory),
        parameters=parameters,
        retry={"attempts": 1, "evaluateOnExit": [], **retry},
        timeout_s=_timeout(timeout, minimum_timeout_s),
        tags=tags,
        given=given,
    )


def with_parameters(command: list[str], parameters: Mapping[str, str]) -> list[str]:
    """The command with `Ref::name` replaced; unknown names stay."""

    def value(found: re.Match[str]) -> str:
        return parameters.get(found[1], found[0])

    return [re.sub(r"Ref::([A-Za-z0-9_-]+)", value, word) for word in command]


def check_environment(variables: list[Json]) -> None:
    """Names that Batch keeps for itself are refused.

    Raises:
        Refused: one begins with AWS_BATCH.
    """
    for one in variables:
        if str(one["name"]).startswith("AWS_BATCH"):
            raise Refused(
                "Environment variables must not start with AWS_BATCH. This naming convention is"
                f" reserved for variables that AWS Batch sets: {one['name']}"
            )


def check_retry(retry: Json) -> None:
    """The rules of a retry strategy.

    Raises:
        Refused: one does not hold.
    """
    if not 1 <= int(retry.get("attempts") or 1) <= _MOST_ATTEMPTS:
        raise Refused(f"retryStrategy.attempts must be between 1 and {_MOST_ATTEMPTS}")
    conditions = parts(retry, "evaluateOnExit")
    if len(conditions) > _MOST_CONDITIONS:
        raise Refused(f"evaluateOnExit: at most {_MOST_CONDITIONS} conditions")
    for one in conditions:
        if str(one.get("action", "")).upper() not in {"RETRY", "EXIT"}:
            raise Refused("evaluateOnExit.action must be RETRY or EXIT")
        for field, allowed in _GLOBS.items():
            if (glob := one.get(field)) is not None and not allowed.fullmatch(glob):
                raise Refused(f"evaluateOnExit.{field}: the pattern {glob!r} is not valid")


def _container(definition: Definition, overrides: Json) -> Json:
    check_environment(parts(overrides, "environment"))
    container = definition.container
    merged = {
        one["name"]: one
        for source in (container, overrides)
        for one in parts(source, "environment")
    }
    needs = {
        one["type"]: one
        for source in (container, overrides)
        for one in parts(source, "resourceRequirements")
    }
    if definition.fargate and (overrides.get("vcpus") or overrides.get("memory")):
        raise Refused("Fargate jobs override vcpus and memory through resourceRequirements only")
    changed = {key: overrides[key] for key in ("command", "vcpus", "memory") if key in overrides}
    return {
        **container,
        **changed,
        "environment": list(merged.values()),
        "resourceRequirements": list(needs.values()),
    }


def _timeout(timeout: Json, minimum_s: int) -> int | None:
    seconds = timeout.get("attemptDurationSeconds")
    if seconds is None:
        return None
    if seconds < minimum_s:
        raise Refused(f"attemptDurationSeconds must be at least {minimum_s}: {seconds}")
    return int(seconds)
