"""Compute environments, queues, scheduling policies and job definitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

from mcp_cloud_agents.emulator.batch.shapes import parts

Json = dict[str, Any]


@dataclass(slots=True, eq=False)
class ComputeEnvironment:
    """Where tasks are placed; `used` of its `max_vcpus` are taken."""

    name: str
    arn: str
    given: Json
    tags: dict[str, str]
    enabled: bool = True
    used: float = 0.0

    @property
    def kind(self) -> str:
        """FARGATE, FARGATE_SPOT, EC2 or SPOT."""
        return str(self.given["computeResources"]["type"])

    @property
    def fargate(self) -> bool:
        """Whether tasks here are Fargate's."""
        return self.kind.startswith("FARGATE")

    @property
    def max_vcpus(self) -> float:
        """How many vCPUs may be taken at once."""
        return float(self.given["computeResources"]["maxvCpus"])


@dataclass(slots=True, eq=False)
class SchedulingPolicy:
    """Fair shares: `weights` by share identifier, a lower one gets more."""

    name: str
    arn: str
    given: Json
    tags: dict[str, str]

    def weight(self, share: str) -> float:
        """Of a share; patterns end with a star."""
        for one in self.given.get("shareDistribution", []):
            known = str(one["shareIdentifier"])
            if known == share or (known.endswith("*") and share.startswith(known[:-1])):
                return float(one.get("weightFactor", 1.0))
        return 1.0


@dataclass(slots=True, eq=False)
class Queue:
    """Jobs wait in it; `environments` in order of preference."""

    name: str
    arn: str
    priority: int
    environments: list[ComputeEnvironment]
    policy: SchedulingPolicy | None
    limits: list[Json]
    tags: dict[str, str]
    enabled: bool = True


@dataclass(slots=True, eq=False)
class Definition:
    """One revision of a job definition."""

    name: str
    revision: int
    arn: str
    given: Json
    tags: dict[str, str] = field(default_factory=dict[str, str])
    active: bool = True

    @property
    def container(self) -> Json:
        """`containerProperties`."""
        return dict(self.given["containerProperties"])

    @property
    def fargate(self) -> bool:
        """Whether it asks for Fargate."""
        return "FARGATE" in self.given.get("platformCapabilities", [])


def requirement(container: Mapping[str, Any], kind: str) -> float | None:
    """`resourceRequirements` of a type (VCPU, MEMORY), or the old field of the same meaning."""
    for one in parts(container, "resourceRequirements"):
        if one["type"] == kind:
            return float(one["value"])
    old = container.get("vcpus" if kind == "VCPU" else "memory")
    return None if old is None else float(old)
