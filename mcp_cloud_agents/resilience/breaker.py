"""A circuit breaker around a backend: after some failures in a row nobody waits for it for a while.

Nygard, "Release It!", chapter 5: closed ─ failures ─▶ open ─ time ─▶ half open ─ one call ─▶ closed
or open again. Jobs that were started are followed whatever the breaker's state: only what starts
new ones is guarded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed, BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp_cloud_agents.domain.job import JobId, JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.sandbox import Probe
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.backend import Backend, Bytes, Watch

T = TypeVar("T")


class Circuit(StrEnum):
    """The state of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens, and for how long."""

    failures: int = 3
    """In a row."""
    first_pause_s: float = 15.0
    longest_pause_s: float = 300.0
    """Each failure of the one call that half-opens it doubles the pause, up to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is remembered of the last calls."""

    failures: int = 0
    opened_at: float | None = None
    pause_s: float = 0.0
    trying: bool = False
    """Whether the one call of a half-open breaker is under way."""
    why: str = ""


class Breaker:
    """Counts how calls end.

    Args:
        policy: when to open.
        monotonic: a clock in seconds.
    """

    def __init__(self, policy: BreakerPolicy, monotonic: Callable[[], float]) -> None:
        self._policy = policy
        self._now = monotonic
        self._record = _Record()

    @property
    def circuit(self) -> Circuit:
        """The state now."""
        if self._record.opened_at is None:
            return Circuit.CLOSED
        left = self._record.opened_at + self._record.pause_s - self._now()
        return Circuit.OPEN if left > 0 else Circuit.HALF_OPEN

    def refusal(self) -> str | None:
        """Why a call may not be made now; None: make it, and tell how it ended."""
        match self.circuit:
            case Circuit.CLOSED:
                return None
            case Circuit.HALF_OPEN if not self._record.trying:
                self._record = replace(self._record, trying=True)
                return None
            case Circuit.HALF_OPEN | Circuit.OPEN:
                return self._record.why

    def succeeded(self) -> None:
        """A call ended well."""
        self._record = _Record()

    def unknown(self) -> None:
        """A call ended without telling anything, as a cancelled one does."""
        self._record = replace(self._record, trying=False)

    def failed(self, why: str) -> None:
        """A call failed because of the backend."""
        record = replace(self._record, failures=self._record.failures + 1, trying=False, why=why)
        if record.failures >= self._policy.failures:
            pause_s = min(record.pause_s * 2, self._policy.longest_pause_s)
            pause_s = pause_s or self._policy.first_pause_s
            record = replace(record, opened_at=self._now(), pause_s=pause_s)
        self._record = record


def _no_problem(_: object) -> None:
    """Any answer is a good one."""


class BreakerBackend:
    """`ports.backend.Backend` that stops asking a backend which keeps failing.

    Args:
        backend: the one that may fail.
        breaker: counts for it.
    """

    def __init__(self, backend: Backend, breaker: Breaker) -> None:
        self._backend = backend
        self._breaker = breaker

    @property
    def name(self) -> str:
        """See the port."""
        return self._backend.name

    @property
    def circuit(self) -> Circuit:
        """The breaker's state."""
        return self._breaker.circuit

    async def probe(self) -> Probe:
        """See the port."""
        self._admit()
        return await self._guarded(
            self._backend.probe, lambda probe: None if probe.works else probe.problem
        )

    async def submit(self, spec: JobSpec) -> None:
        """See the port."""
        self._admit()
        await self._guarded(lambda: self._backend.submit(spec))

    async def spec(self, job_id: JobId) -> JobSpec:
        """See the port."""
        return await self._backend.spec(job_id)

    async def job_ids(self, *, limit: int) -> tuple[JobId, ...]:
        """See the port."""
        return await self._backend.job_ids(limit=limit)

    async def status(self, job_id: JobId) -> JobStatus:
        """See the port."""
        return await self._backend.status(job_id)

    async def result(self, job_id: JobId) -> JobResult | None:
        """See the port."""
        return await self._backend.result(job_id)

    def watch(self, job_id: JobId) -> AbstractAsyncContextManager[Watch]:
        """See the port."""
        return self._backend.watch(job_id)

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """See the port."""
        return await self._backend.log(job_id, offset=offset, limit=limit)

    async def artifact(self, job_id: JobId, name: str, *, offset: int, limit: int) -> Bytes:
        """See the port."""
        return await self._backend.artifact(job_id, name, offset=offset, limit=limit)

    async def cancel(self, job_id: JobId) -> None:
        """See the port."""
        await self._backend.cancel(job_id)

    async def cancel_many(self, job_ids: Sequence[JobId]) -> None:
        """See the port."""
        await self._backend.cancel_many(job_ids)

    def _admit(self) -> None:
        if (why := self._breaker.refusal()) is not None:
            raise BackendUnavailable(
                f"{self.name} failed several times in a row and is left alone for a while: {why}",
                hint="Run `mcp-cloud-agents doctor`; it is tried again by itself.",
            )

    async def _guarded(
        self, call: Callable[[], Awaitable[T]], problem: Callable[[T], str | None] = _no_problem
    ) -> T:
        """Make a call and count how it ended; a cancelled one says nothing of the backend."""
        try:
            done = await call()
        except BackendFailed as exc:
            self._breaker.failed(exc.message)
            raise
        except AgentsError:  # an answer, though no good one
            self._breaker.succeeded()
            raise
        except BaseException:
            self._breaker.unknown()
            raise
        if (why := problem(done)) is not None:
            self._breaker.failed(why)
        else:
            self._breaker.succeeded()
        return done
