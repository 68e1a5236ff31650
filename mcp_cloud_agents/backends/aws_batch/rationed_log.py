"""The log in the bucket of jobs that run; with many jobs in flight, looks at it are rationed.

One look is two or three calls of S3, and every answer of `get_job` has the end of the log in it:
a client that goes round a thousand jobs would make dozens of calls a second.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mcp_cloud_agents.backends.aws_batch.status import needs_worker
from mcp_cloud_agents.backends.aws_batch.tracked import FEW_JOBS, Turns
from mcp_cloud_agents.ports.backend import Bytes

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.objects import Objects
    from mcp_cloud_agents.backends.aws_batch.tracked import Tracked

_LOOK_EVERY_S = 5.0
"""Of all jobs together, while more than a few are open."""
_KEPT_BYTES = 8_192
_NOTHING = Bytes(data=b"", offset=0, size=0)


class RationedLogs:
    """Reads at once while few jobs are open; else what is known is told until it is one's turn."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._turns = Turns(_LOOK_EVERY_S)

    async def read(self, job: Tracked, *, offset: int, limit: int, open_jobs: int) -> Bytes:
        """A piece of the log, as `JobObjects.log` gives it. Raises BackendFailed."""
        if open_jobs <= FEW_JOBS or _has_ended(job):
            return await self._objects.read(partial(job.objects.log, offset, limit))
        known = _known(job, offset, limit)
        if known is not None and (_waits(job) or not self._turns.take(open_jobs)):
            return known
        piece = await self._objects.read(partial(job.objects.log, offset, limit))
        job.durable = _kept(piece)
        return piece


def _has_ended(job: Tracked) -> bool:
    told = job.stored is not None and job.stored.status.state.done
    return told or job.final is not None or (job.batch is not None and job.batch.rank.final)


def _known(job: Tracked, offset: int, limit: int) -> Bytes | None:
    """The piece, as far as the last look tells it; None: only another look does."""
    last = job.durable or _NOTHING
    if offset > max(last.size, job.log_end):
        return None  # who reads on from there knows more
    if offset >= last.size:
        return Bytes(data=b"", offset=last.size, size=last.size)
    end = min(offset + limit, last.size)
    if not last.offset <= offset <= end <= last.next_offset:
        return None
    data = last.data[offset - last.offset : end - last.offset]
    return Bytes(data=data, offset=offset, size=last.size)


def _waits(job: Tracked) -> bool:
    """Whether it is in Batch, and no worker had it yet as far as anybody knows."""
    if job.poll is None or job.forgotten or job.stored is not None:
        return False
    return job.batch is None or not needs_worker(job.batch)


def _kept(piece: Bytes) -> Bytes:
    """With its data, unless that is much."""
    if len(piece.data) <= _KEPT_BYTES:
        return piece
    return Bytes(data=b"", offset=piece.size, size=piece.size)
