"""The books that admission writes: money, questions to persons, and what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.ports.approvals import Approvals
from mcp_cloud_agents.ports.audit import Action, Audit, Entry
from mcp_cloud_agents.ports.clock import Clock
from mcp_cloud_agents.ports.ledger import Ledger, ReservationState

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.ports.ledger import Reservation
    from mcp_cloud_agents.ports.records import Record

PROGRAM = Actor(client="mcp-cloud-agents")
"""Who acts when nobody asked: what a crash left open is closed, what ended is settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Who runs this process, for every entry of the audit."""

    session: str
    os_user: str
    principal: Callable[[], str] = str
    """Who AWS takes us for, as far as it is known by now."""

    def seen(self, actor: Actor) -> Actor:
        """The actor with what only this machine knows."""
        return replace(
            actor,
            session=actor.session or self.session,
            os_user=self.os_user,
            principal=self.principal(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All of them. Blocks; any thread may call."""

    ledger: Ledger
    approvals: Approvals
    audit: Audit
    host: Host
    clock: Clock

    def note(
        self, action: Action, record: Record, actor: Actor, entry: Entry | None = None
    ) -> None:
        """Write what is about to happen to a job.

        Args:
            action: what.
            record: the job.
            actor: who asked.
            entry: what else is to be said; its `at`, `action`, `actor` and job are filled in.

        Raises:
            AuditUnusable: it could not be written, so it may not happen.
        """
        spec, now = record.spec, self.clock.now()
        said = entry or Entry(at=now, action=action, actor=actor)
        self.audit.append(
            replace(
                said,
                at=now,
                action=action,
                actor=self.host.seen(actor),
                job_id=spec.id,
                agent=spec.agent,
                backend=record.backend,
                workspace=spec.snapshot.origin.workspace,
                spec_digest=spec.digest,
                tree=spec.snapshot.tree,
            )
        )

    def tell_of(self, job_id: JobId, action: Action, actor: Actor, *, into: str) -> None:
        """Write what is about to happen to a worktree by a job that may be long gone.

        Raises:
            AuditUnusable: it could not be written, so it may not happen.
        """
        self.audit.append(
            Entry(
                at=self.clock.now(),
                action=action,
                actor=self.host.seen(actor),
                job_id=job_id,
                details=(("into", into),),
            )
        )

    def reservation(self, record: Record) -> Reservation | None:
        """What is held back for a job. Raises LedgerUnusable."""
        return self.ledger.get(record.spec.id)

    def give_back(self, record: Record, action: Action, actor: Actor, *, reason: str) -> bool:
        """Free the money of a job that will not start, and say why; nothing when none is held.

        Returns:
            Whether there was some.
        """
        held = self.reservation(record)
        if held is None or held.state is not ReservationState.OPEN:
            return False
        self.note(action, record, actor, Entry(at=0, action=action, actor=actor, reason=reason))
        self.ledger.release(record.spec.id, at=self.clock.now())
        return True

    def not_started(self, record: Record, *, reason: str) -> None:
        """Undo what was written of a job that a place refused, money or none: it was allowed."""
        if not self.give_back(record, Action.RELEASED, PROGRAM, reason=reason):
            entry = Entry(at=0, action=Action.RELEASED, actor=PROGRAM, reason=reason)
            self.note(Action.RELEASED, record, PROGRAM, entry)
