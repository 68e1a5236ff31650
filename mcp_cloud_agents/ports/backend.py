"""Where jobs run. The contract is in `tests/contracts/test_backend.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp_cloud_agents.domain.job import JobId, JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.sandbox import Probe
    from mcp_cloud_agents.domain.status import JobStatus


LOCAL = "local"
"""The name of this machine as a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """A piece of a log or an artifact."""

    data: bytes
    offset: int
    """Of the first byte; at most `size`."""
    size: int
    """Of the whole, now."""

    @property
    def next_offset(self) -> int:
        """Where to read on."""
        return self.offset + len(self.data)


class Watch(Protocol):
    """Tells when a job changed."""

    async def changed(self, *, timeout_s: float) -> bool:
        """Wait for a change of state, progress or log since entering or since the last call.

        Returns:
            Whether there may be one (False: the time is up). Looking again is always right.
        """
        ...


class Backend(Protocol):
    """Jobs outlive whoever started them; every method can be called from any process, any time."""

    @property
    def name(self) -> str:
        """Stable name, as in the result envelope."""
        ...

    async def probe(self) -> Probe:
        """Whether jobs can run here, and under which isolation."""
        ...

    async def submit(self, spec: JobSpec) -> None:
        """Start the job; durable before it returns. A second call for the same id does nothing.

        Raises:
            IsolationUnavailable: weaker isolation than `spec.isolation` is all there is.
            NoSpace: the disk is full.
            BackendFailed: the job could not be started; calling again is safe.
        """
        ...

    async def spec(self, job_id: JobId) -> JobSpec:
        """What was asked for, by whomever and from wherever.

        Raises:
            UnknownJob: never submitted here, or cleaned up.
            JobCorrupt: what is stored of it was damaged.
        """
        ...

    async def job_ids(self, *, limit: int) -> tuple[JobId, ...]:
        """The newest jobs here, newest first, whoever submitted them."""
        ...

    async def status(self, job_id: JobId) -> JobStatus:
        """What is known now; `lost` is a normal answer.

        Raises:
            UnknownJob: never submitted here, or cleaned up.
            JobCorrupt: its folder was damaged.
        """
        ...

    async def result(self, job_id: JobId) -> JobResult | None:
        """The worker's last word; None while there is none (also for lost jobs)."""
        ...

    def watch(self, job_id: JobId) -> AbstractAsyncContextManager[Watch]:
        """Follow a job. Enter first, look second: then no change in between is missed."""
        ...

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """Raw bytes of the log. An offset past the end gives an empty piece at the end."""
        ...

    async def artifact(self, job_id: JobId, name: str, *, offset: int, limit: int) -> Bytes:
        """Raw bytes of an artifact of a job that is done.

        Raises:
            UnknownArtifact: the job has none of this name.
        """
        ...

    async def cancel(self, job_id: JobId) -> None:
        """Ask the job to end. Durable; returns at once; does nothing to a job that is done."""
        ...

    async def cancel_many(self, job_ids: Sequence[JobId]) -> None:
        """The same for many jobs, with as few calls as the place allows."""
        ...
