"""All that the emulated Batch knows, and the lock it is read and changed under."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.emulator.batch.job import Job
from mcp_cloud_agents.emulator.batch.resources import (
    ComputeEnvironment,
    Definition,
    Queue,
    SchedulingPolicy,
)
from mcp_cloud_agents.emulator.options import Options
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


@dataclass(slots=True)
class State:
    """Everything by name or ARN; `lock` is notified of each step of a job."""

    options: Options
    lock: threading.Condition = field(default_factory=threading.Condition)
    environments: dict[str, ComputeEnvironment] = field(
        default_factory=dict[str, ComputeEnvironment]
    )
    queues: dict[str, Queue] = field(default_factory=dict[str, Queue])
    policies: dict[str, SchedulingPolicy] = field(default_factory=dict[str, SchedulingPolicy])
    definitions: dict[str, list[Definition]] = field(default_factory=dict[str, list[Definition]])
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    orders: count[int] = field(default_factory=count)

    def clear(self) -> None:
        """Forget all of it."""
        with self.lock:
            for known in (self.environments, self.queues, self.policies, self.definitions):
                known.clear()
            self.jobs.clear()

    def environment(self, name_or_arn: str) -> ComputeEnvironment:
        """By name or ARN.

        Raises:
            Refused: there is none.
        """
        return _found(self.environments, name_or_arn, "{} does not exist")

    def queue(self, name_or_arn: str) -> Queue:
        """By name or ARN.

        Raises:
            Refused: there is none.
        """
        return _found(self.queues, name_or_arn, "JobQueue {} not found.")

    def policy(self, arn: str) -> SchedulingPolicy:
        """By ARN.

        Raises:
            Refused: there is none.
        """
        return _found(self.policies, arn, "Scheduling policy {} does not exist")

    def definition(self, named: str) -> Definition:
        """By name (its newest active revision), `name:revision` or ARN.

        Raises:
            Refused: there is none, or it is not active.
        """
        name, _, revision = _last(named).partition(":")
        for one in reversed(self.definitions.get(name, [])):
            if one.active and (not revision or str(one.revision) == revision):
                return one
        raise Refused(f"JobDefinition {named} is not found or not in ACTIVE status")

    def job(self, id_or_arn: str) -> Job | None:
        """By id or ARN; None when there is none."""
        return self.jobs.get(_last(id_or_arn))


def _found(known: Mapping[str, T], name_or_arn: str, refusal: str) -> T:
    """What has this name or ARN. Raises Refused with `refusal`, the name in its `{}`."""
    if (found := known.get(_last(name_or_arn))) is None:
        raise Refused(refusal.format(name_or_arn))
    return found


def _last(name_or_arn: str) -> str:
    return name_or_arn.rsplit("/", 1)[-1]
