"""What jobs cost at a place. The contract is in `tests/contracts/test_pricing.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.money import Estimate
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.status import JobStatus


class Pricing(Protocol):
    """Whole micro-dollars, rounded up; the same job and prices give the same sum."""

    def vcpus(self, spec: JobSpec) -> float:
        """Of the machine that the job is billed for; 0: none is. Raises InvalidArgument."""
        ...

    def estimate(self, spec: JobSpec) -> Estimate:
        """What it may cost, all attempts and models together.

        Raises:
            InvalidArgument: no machine is so large, or nobody knows its price.
            BadConfig: the person's table of prices is broken.
        """
        ...

    def actual_micros(
        self, spec: JobSpec, status: JobStatus, result: JobResult | None
    ) -> int | None:
        """What a job that is done did cost; None: nobody knows, so the worst case counts."""
        ...
