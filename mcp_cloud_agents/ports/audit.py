"""What happened, written before it happens. The contract is in `tests/contracts/test_audit.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.actor import Actor

if TYPE_CHECKING:
    from collections.abc import Iterator


class Action(StrEnum):
    """What an entry is about."""

    ALLOWED = "allowed"
    """Policy and budget let a job start; its money is reserved."""
    ASKED = "asked"
    """A person has to agree."""
    DENIED = "denied"
    """By policy, budget, or a stop."""
    APPROVED = "approved"
    DECLINED = "declined"
    EXPIRED = "expired"
    GRANTED = "granted"
    REVOKED = "revoked"
    SETTLED = "settled"
    """A job ended, and this is what it did cost."""
    RELEASED = "released"
    """A job never started; its money is free again."""
    CANCELLED = "cancelled"
    APPLIED = "applied"
    """A patch is brought into a worktree or a branch; it may still be refused there."""
    UNDONE = "undone"
    """It is taken out again; the same."""
    STOPPED = "stopped"
    RESUMED = "resumed"
    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    LIMITED = "limited"
    """A limit that others share was changed."""
    SECRETS = "secrets"
    """A job gets secrets: names and references, never values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. Everything in it is safe to show; `governance.redaction` saw it."""

    at: float
    action: Action
    actor: Actor
    job_id: str = ""
    agent: str = ""
    backend: str = ""
    workspace: str = ""
    rule: str = ""
    reason: str = ""
    worst_micros: int | None = None
    actual_micros: int | None = None
    spec_digest: str = ""
    policy_digest: str = ""
    tree: str = ""
    facts: str = ""
    """The facts that policy decided on, as JSON; only in entries of a decision."""
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry in its chain."""

    number: int
    """From 1, without a gap, over all files."""
    previous: str
    """Hash of the entry before; 64 zeros for the first."""
    hash: str
    """sha256 of number, previous and the entry, see `governance.audit`."""
    entry: Entry


class Audit(Protocol):
    """Append-only. Blocks; any thread and process may call at any time."""

    def append(self, entry: Entry) -> Link:
        """Write an entry, durably: what it tells of may happen once this returned.

        Raises:
            AuditUnusable: it could not be written, so nothing may happen.
        """
        ...

    def links(self) -> Iterator[Link]:
        """All entries, oldest first, as they are stored; unchecked. Raises AuditUnusable."""
        ...
