"""What a job needs, as sizes that Fargate has; pure.

Fargate sells pairs of vCPU and memory (AWS Batch API reference, ResourceRequirement). What is
requested is billed, so the smallest pair that holds the job is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mcp_cloud_agents.domain.errors import InvalidArgument

WORKER_MIB = 512
"""For the worker beside the job's command: its interpreter, the pack, reports, the log."""
FARGATE: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.25, (512, 1024, 2048)),
    (0.5, tuple(range(1024, 4096 + 1, 1024))),
    (1, tuple(range(2048, 8192 + 1, 1024))),
    (2, tuple(range(4096, 16384 + 1, 1024))),
    (4, tuple(range(8192, 30720 + 1, 1024))),
    (8, tuple(range(16384, 61440 + 1, 4096))),
    (16, tuple(range(32768, 122880 + 1, 8192))),
    (32, (61440, 122880, 249856)),
)
"""Memory in MiB by vCPU, smallest first."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is requested for one job."""

    vcpus: float
    memory_mib: int


def on_fargate(*, vcpus: float, memory_mib: int) -> Size:
    """The smallest pair with at least this much of both.

    Args:
        vcpus: the least.
        memory_mib: what the job's command may use; the worker's own share is added.

    Raises:
        InvalidArgument: no pair is so large.
    """
    needed = memory_mib + WORKER_MIB
    for cpu, memories in FARGATE:
        if cpu >= vcpus:
            for memory in memories:
                if memory >= needed:
                    return Size(cpu, memory)
    most_cpu, most_memory = FARGATE[-1][0], FARGATE[-1][1][-1]
    raise InvalidArgument(
        f"The job wants {vcpus:g} vCPUs and {needed} MiB; the largest on Fargate has "
        f"{most_cpu:g} vCPUs and {most_memory} MiB.",
        hint="Lower limits.memory_mib or aws.vcpus, or set aws.queue to one of EC2 instances.",
    )


def on_instances(*, vcpus: float, memory_mib: int) -> Size:
    """Instances take any whole number of vCPUs; the queue's instance types decide what fits."""
    return Size(math.ceil(vcpus), memory_mib + WORKER_MIB)
