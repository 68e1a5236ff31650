"""What jobs cost on this machine: nothing but models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.money import FREE, Estimate
from mcp_cloud_agents.governance.estimates import models_cap, models_spent

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.status import JobStatus


class LocalPricing:
    """`ports.pricing.Pricing` of this machine."""

    def vcpus(self, spec: JobSpec) -> float:
        """See the port."""
        del spec
        return 0.0

    def estimate(self, spec: JobSpec) -> Estimate:
        """See the port."""
        cap = models_cap(spec)
        if not cap:
            return FREE
        half = -(-cap // 2)
        return Estimate(worst_micros=cap, expected_micros=half, parts=(("models", cap),))

    def actual_micros(
        self, spec: JobSpec, status: JobStatus, result: JobResult | None
    ) -> int | None:
        """See the port."""
        return models_spent(spec, status, result)
