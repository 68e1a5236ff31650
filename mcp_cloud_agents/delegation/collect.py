"""Last stage: all that is known of a job, as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.domain.errors import JobCorrupt
from mcp_cloud_agents.domain.job import JobState

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.backend import Backend
    from mcp_cloud_agents.ports.records import Record

TAIL_BYTES = 4_096


async def collect(backend: Backend, record: Record, *, note: str = "") -> JobView:
    """Status first, result second: a result is written before the state that announces it.

    Raises:
        UnknownJob, JobCorrupt: from the backend.
    """
    job_id = record.spec.id
    status = await backend.status(job_id)
    result = await backend.result(job_id) if status.state.done else None
    if status.state is JobState.SUCCEEDED and result is None:
        raise JobCorrupt(
            f"Job {job_id} succeeded, but its result is gone.",
            hint="Its log is still there (read_log); submit the work again with fresh=true.",
        )
    start = max(0, status.log_bytes - TAIL_BYTES)
    return JobView(
        spec=record.spec,
        backend=record.backend,
        status=status,
        result=result,
        tail=await backend.log(job_id, offset=start, limit=TAIL_BYTES),
        note=note,
    )
