"""Last stage: what a job did cost takes the place of what was held back for it, once.

Who looks at a job that is done settles it; the sweep does it for jobs that nobody looked at, and
gives the money back of those that were never started.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mcp_cloud_agents.delegation.books import PROGRAM
from mcp_cloud_agents.domain.errors import AgentsError, JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.domain.money import Money
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.ledger import Reservation, ReservationState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Places
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.ports.records import Record

T = TypeVar("T")
_log = logging.getLogger(__name__)
_KEPT_S = 14 * 86_400.0
"""Places keep jobs for weeks; what is held for longer may be of one that ran and was cleaned up."""


class Settler:
    """Keeps the ledger true to what jobs did."""

    def __init__(self, books: Books, places: Places, admission: Admission) -> None:
        self._books = books
        self._places = places
        self._admission = admission
        self._threads = anyio.CapacityLimiter(4)

    async def money(self, record: Record, view: JobView) -> Money | None:
        """A job's money now; one that is done is settled. None: nobody can tell at the moment."""
        work = partial(self._money, record, view)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        except AgentsError as exc:  # the job's own news matter more than its price
            _log.warning("money_unknown: %s: %s", exc.code, exc.message)
            return None

    async def sweep(self, look: Callable[[JobId], Awaitable[JobView]]) -> int:
        """Settle or give back what is open of jobs that ended or never began; how many.

        Args:
            look: shows a job, and settles it when it is done.

        Raises:
            LedgerUnusable: nobody can say what is open.
        """
        closed = 0
        for held in await self._call(self._books.ledger.open):
            try:
                view = await look(JobId(held.order.token))
            except UnknownJob:
                closed += await self._call(partial(self._never_started, held))
            except JobCorrupt:
                damaged = "what is stored of the job was damaged"
                closed += await self._call(partial(self._unknown, held, damaged))
            except AgentsError as exc:  # one job that cannot be looked at is no end of the sweep
                _log.warning("not_settled_yet: %s: %s", held.order.token, exc.message)
            else:
                closed += _closed(view)
        return closed

    def _money(self, record: Record, view: JobView) -> Money:
        spec, done = record.spec, view.status.state.done
        pricing = self._places.of(record.backend).pricing
        held = None
        estimate = pricing.estimate(spec)
        if estimate.worst_micros:
            estimate = self._admission.estimate(record, self._places.of(record.backend))
            held = self._books.reservation(record)
        if held is None:
            actual = pricing.actual_micros(spec, view.status, view.result) if done else None
            return Money(estimate=estimate, actual_micros=actual)
        if done and view.question is not None:  # it never started
            return replace(_told(held, Money(estimate=estimate)), actual_micros=0)
        if done and held.state is not ReservationState.SETTLED:  # RELEASED: it ran all the same
            held = self._settle(record, view)
        return _told(held, Money(estimate=estimate))

    def _settle(self, record: Record, view: JobView) -> Reservation | None:
        pricing = self._places.of(record.backend).pricing
        actual = pricing.actual_micros(record.spec, view.status, view.result)
        cause = view.status.cause
        entry = Entry(
            at=0,
            action=Action.SETTLED,
            actor=PROGRAM,
            reason=str(view.status.state)
            if cause is None
            else f"{view.status.state}: {cause.kind}",
            actual_micros=actual,
        )
        self._books.note(Action.SETTLED, record, PROGRAM, entry)
        return self._books.ledger.settle(record.spec.id, actual, at=self._books.clock.now())

    def _never_started(self, held: Reservation) -> bool:
        """Give the money back of a job that no place knows, once a submit cannot be under way."""
        now = self._books.clock.now()
        if now < held.order.expires_at:
            return False
        if now > held.order.at + _KEPT_S:
            return self._unknown(held, "no place knows it any more")
        self._close(held, Action.RELEASED, "it was never started")
        self._books.ledger.release(held.order.token, at=now)
        return True

    def _unknown(self, held: Reservation, why: str) -> bool:
        """What is left of the job tells nothing, so the whole reservation counts as spent."""
        self._close(held, Action.SETTLED, why)
        self._books.ledger.settle(held.order.token, None, at=self._books.clock.now())
        return True

    def _close(self, held: Reservation, action: Action, reason: str) -> None:
        tags = held.order.tags
        self._books.audit.append(
            Entry(
                at=self._books.clock.now(),
                action=action,
                actor=self._books.host.seen(PROGRAM),
                job_id=held.order.token,
                agent=tags.agent,
                backend=tags.backend,
                workspace=tags.workspace,
                reason=reason,
            )
        )

    async def _call(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def _closed(view: JobView) -> bool:
    """Whether nothing is held back for the job any more, as far as anybody can tell."""
    return view.status.state.done and view.money is not None and not view.money.reserved_micros


def _told(held: Reservation | None, money: Money) -> Money:
    if held is None:
        return money
    match held.state:
        case ReservationState.OPEN:
            return Money(estimate=money.estimate, reserved_micros=held.order.amount_micros)
        case ReservationState.SETTLED:
            return Money(estimate=money.estimate, actual_micros=held.actual_micros)
        case ReservationState.RELEASED:
            return Money(estimate=money.estimate)
