"""The bucket from async code: calls of the blocking store in threads of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_cloud_agents.storage.job_objects import JobObjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.ports.store import Store

T = TypeVar("T")
_READERS, _WRITERS = 32, 32
"""On a bad day most of them wait to try again."""


class Objects:
    """A store, and the objects of jobs in it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._readers = anyio.CapacityLimiter(_READERS)
        self._writers = anyio.CapacityLimiter(_WRITERS)

    def of(self, job_id: JobId) -> JobObjects:
        """Those of one job."""
        return JobObjects(self.store, job_id)

    async def read(self, work: Callable[[], T]) -> T:
        """A blocking read; given up when the caller is cancelled."""
        return await anyio.to_thread.run_sync(work, limiter=self._readers, abandon_on_cancel=True)

    async def write(self, work: Callable[[], T]) -> T:
        """A blocking write; never left half way."""
        answers: list[T] = []
        with anyio.CancelScope(shield=True):
            answers.append(await anyio.to_thread.run_sync(work, limiter=self._writers))
        return answers[0]
