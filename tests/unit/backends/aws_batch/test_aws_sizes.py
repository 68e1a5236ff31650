"""From what a job needs to a pair of vCPU and memory that Fargate has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.backends.aws_batch.sizes import (
    FARGATE,
    WORKER_MIB,
    Size,
    on_fargate,
    on_instances,
)
from mcp_cloud_agents.domain.errors import InvalidArgument

PAIRS = {(cpu, memory) for cpu, memories in FARGATE for memory in memories}


@pytest.mark.parametrize(
    ("vcpus", "memory_mib", "size"),
    [
        (0.1, 0, Size(0.25, 512)),
        (0.25, 1536, Size(0.25, 2048)),
        (0.25, 1537, Size(0.5, 3072)),
        (2, 4096, Size(2, 5120)),
        (2, 64, Size(2, 4096)),
        (3, 4096, Size(4, 8192)),
        (1, 16384 - WORKER_MIB, Size(2, 16384)),
        (1, 61440, Size(16, 65536)),
        (32, 249856 - WORKER_MIB, Size(32, 249856)),
    ],
)
def test_a_job_is_rounded_up_to_the_next_pair(vcpus: float, memory_mib: int, size: Size) -> None:
    assert on_fargate(vcpus=vcpus, memory_mib=memory_mib) == size


@given(st.floats(0.01, 32), st.integers(1, 249856 - WORKER_MIB))
def test_every_size_is_a_pair_of_fargate_that_holds_the_job(vcpus: float, memory_mib: int) -> None:
    size = on_fargate(vcpus=vcpus, memory_mib=memory_mib)
    assert (size.vcpus, size.memory_mib) in PAIRS
    assert size.vcpus >= vcpus
    assert size.memory_mib >= memory_mib + WORKER_MIB


@pytest.mark.parametrize(("vcpus", "memory_mib"), [(33, 64), (1, 249856)])
def test_what_is_larger_than_the_largest_is_refused(vcpus: float, memory_mib: int) -> None:
    with pytest.raises(InvalidArgument, match="the largest on Fargate has 32 vCPUs and 249856 MiB"):
        on_fargate(vcpus=vcpus, memory_mib=memory_mib)


def test_instances_take_any_memory_and_whole_processors() -> None:
    assert on_instances(vcpus=1.5, memory_mib=1000) == Size(2, 1512)
