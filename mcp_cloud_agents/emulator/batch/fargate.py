"""The sizes of Fargate: memory in MiB by vCPU (AWS Batch user guide, ResourceRequirement)."""

from __future__ import annotations

from mcp_cloud_agents.emulator.refusals import Refused

_MEMORY: dict[float, frozenset[int]] = {
    0.25: frozenset({512, 1024, 2048}),
    0.5: frozenset(range(1024, 4096 + 1, 1024)),
    1: frozenset(range(2048, 8192 + 1, 1024)),
    2: frozenset(range(4096, 16384 + 1, 1024)),
    4: frozenset(range(8192, 30720 + 1, 1024)),
    8: frozenset(range(16384, 61440 + 1, 4096)),
    16: frozenset(range(32768, 122880 + 1, 8192)),
    32: frozenset({61440, 122880, 249856}),
}


def check_size(vcpus: float, memory_mib: int) -> None:
    """Refuse a pair that Fargate does not have.

    Raises:
        Refused: as Batch does.
    """
    if memory_mib not in _MEMORY.get(vcpus, frozenset()):
        raise Refused(
            f"Fargate resource requirements for (VCPU={vcpus:g}, MEMORY={memory_mib}) are invalid."
        )
