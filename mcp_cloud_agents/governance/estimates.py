"""The models' part of every place's estimate and bill; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.job import JobState

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.status import JobStatus


def models_cap(spec: JobSpec) -> int:
    """Micro-dollars that models may cost in one run of the job; the worker's meter holds it."""
    if spec.fix is None or not spec.fix.models:
        return 0
    return spec.fix.budget.usd_micros


def models_spent(spec: JobSpec, status: JobStatus, result: JobResult | None) -> int | None:
    """Micro-dollars that models did cost in the run that ended; None: nobody knows."""
    if not models_cap(spec):
        return 0
    if result is not None and result.fix is not None:
        return result.fix.spent.usd_micros
    states = [state for state, _ in status.history]
    if result is not None and JobState.RUNNING not in states:
        return 0  # models are asked in the run phase only
    never_started = states == [JobState.QUEUED, JobState.CANCELLED]
    return 0 if never_started else None
