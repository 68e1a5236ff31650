"""All that the emulated Batch knows, and the lock it is read and changed under."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import count

from mcp_cloud_agents.emulator.batch.job import Job
from mcp_cloud_agents.emulator.batch.resources import (
    ComputeEnvironment,
    Definition,
    Queue,
    SchedulingPolicy,
)
from mcp_cloud_agents.emulator.options import Options
from mcp_cloud_agents.emulator.refusals import Refused


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
        found = self.environments.get(_last(name_or_arn))
        if found is None:
            raise Refused(f"{name_or_arn} does not exist")
        return found

    def queue(self, name_or_arn: str) -> Queue:
        """By name or ARN.

        Raises:
            Refused: there is none.
        """
        found = self.queues.get(_last(name_or_arn))
        if found is None:
            raise Refused(f"JobQueue {name_or_arn} not found.")
        return found

    def policy(self, arn: str) -> SchedulingPolicy:
        """By ARN.

        Raises:
            Refused: there is none.
        """
        found = self.policies.get(_last(arn))
        if found is None:
            raise Refused(f"Scheduling policy {arn} does not exist")
        return found

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


def _last(name_or_arn: str) -> str:
    return name_or_arn.rsplit("/", 1)[-1]
