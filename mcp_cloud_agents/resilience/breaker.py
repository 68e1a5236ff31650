"""A circuit breaker around a backend: after some failures in a row nobody waits for it for a while.

Nygard, "Release It!", chapter 5; the states are in `domain/circuit.py`. What it remembers may be
shared by processes and outlive them: the one call of a half-open breaker is one for all of them.
Jobs that were started are followed whatever the breaker's state: only what starts new ones is
guarded.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.circuit import (
    BreakerPolicy,
    Circuit,
    CircuitRecord,
    circuit_of,
    failed,
    refused,
    tried,
)
from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed, BackendUnavailable
from mcp_cloud_agents.resilience.circuit_in_memory import CircuitInMemory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp_cloud_agents.domain.circuit import LeftAlone
    from mcp_cloud_agents.domain.job import JobId, JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.sandbox import Probe
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.backend import Backend, Bytes, Watch
    from mcp_cloud_agents.ports.circuit_store import CircuitStore

T = TypeVar("T")


class Breaker:
    """Counts how calls end.

    Args:
        policy: when to open.
        now: the wall clock, in seconds since the epoch.
        store: keeps what it remembers; None: this object does.
    """

    def __init__(
        self, policy: BreakerPolicy, now: Callable[[], float], store: CircuitStore | None = None
    ) -> None:
        self._policy = policy
        self._now = now
        self._store = store or CircuitInMemory()

    @property
    def circuit(self) -> Circuit:
        """The state now."""
        return circuit_of(self._store.read(), self._policy, self._now())

    def refusal(self) -> LeftAlone | None:
        """Why a call may not be made now; None: make it, and tell how it ended."""
        now = self._now()
        found = circuit_of(self._store.read(), self._policy, now)
        if found is Circuit.CLOSED:  # the usual case asks for no lock
            return None
        said: LeftAlone | None = None

        def step(record: CircuitRecord) -> CircuitRecord:
            nonlocal said
            said = refused(record, self._policy, now)
            return record if said is not None else tried(record, self._policy, now)

        self._store.change(step)
        return said

    def succeeded(self) -> None:
        """A call ended well."""
        if self._store.read() != CircuitRecord():
            self._store.change(lambda _: CircuitRecord())

    def unknown(self) -> None:
        """A call ended without telling anything, as a cancelled one does."""
        if self._store.read().trial_at is not None:
            self._store.change(lambda record: replace(record, trial_at=None))

    def failed(self, why: str, *, weight: int = 1) -> None:
        """A call failed because of the backend; it counts `weight` times."""
        now = self._now()
        self._store.change(lambda record: failed(record, self._policy, now, why, weight=weight))


async def told(step: Callable[[], T]) -> T:
    """Call a breaker in a thread, as its record may be a file; also when all is being cancelled."""
    import anyio.to_thread  # a worker that asks no place needs nothing of it

    said: list[T] = []
    with anyio.CancelScope(shield=True):
        said.append(await anyio.to_thread.run_sync(step))
    return said[0]


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
        await self._admit()
        return await self._guarded(
            self._backend.probe, lambda probe: None if probe.works else probe.problem
        )

    async def submit(self, spec: JobSpec) -> None:
        """See the port."""
        await self._admit()
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

    async def _admit(self) -> None:
        if (left := await told(self._breaker.refusal)) is not None:
            raise BackendUnavailable(
                f"{self.name} failed several times in a row and is left alone for a while: "
                f"{left.told}.",
                hint="Run `mcp-cloud-agents doctor`; it is tried again by itself.",
            )

    async def _guarded(
        self, call: Callable[[], Awaitable[T]], problem: Callable[[T], str | None] = _no_problem
    ) -> T:
        """Make a call and count how it ended; a cancelled one says nothing of the backend."""
        try:
            done = await call()
        except BackendFailed as exc:
            await told(partial(self._breaker.failed, exc.message))
            raise
        except AgentsError:  # an answer, though no good one
            await told(self._breaker.succeeded)
            raise
        except BaseException:
            await told(self._breaker.unknown)
            raise
        if (why := problem(done)) is not None:
            await told(partial(self._breaker.failed, why))
        else:
            await told(self._breaker.succeeded)
        return done
