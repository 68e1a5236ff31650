"""Fifth stage: wait, bounded, until a job is done; the end of the wait is never the job's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.delegation.waiting import LOOK_EVERY_S, status_of
from mcp_cloud_agents.ports.approvals import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.approvals import Question
    from mcp_cloud_agents.ports.backend import Backend

_LOOK_AT_LEAST_EVERY_S = 2.0
"""A killed supervisor changes no file, so a look is due even when nothing was heard."""
_GATHER_S = 0.01
"""A job that prints a lot is one change, not a thousand looks a second."""


async def observe_question(
    ask: Callable[[], Awaitable[Question | None]],
    *,
    on_change: Callable[[JobStatus], Awaitable[None]],
) -> None:
    """Wait until a person has answered; the caller bounds it.

    Answers come from other processes, so it is looked at again and again.
    """
    told = False
    while (question := await ask()) is not None and question.answer is Answer.WAITING:
        if not told:
            await on_change(status_of(question))
            told = True
        await anyio.sleep(LOOK_EVERY_S)


async def observe(
    backend: Backend,
    job_id: JobId,
    *,
    timeout_s: float,
    on_change: Callable[[JobStatus], Awaitable[None]],
) -> None:
    """Wait until the job is done or the time is up; report each change on the way.

    Raises:
        UnknownJob, JobCorrupt: from the backend.
    """
    with anyio.move_on_after(timeout_s):
        async with backend.watch(job_id) as watch:
            status = await backend.status(job_id)
            while not status.state.done:
                await watch.changed(timeout_s=_LOOK_AT_LEAST_EVERY_S)
                await anyio.sleep(_GATHER_S)
                latest = await backend.status(job_id)
                if latest != status:
                    status = latest
                    await on_change(status)
