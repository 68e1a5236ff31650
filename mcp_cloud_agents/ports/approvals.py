"""Questions to a person, and answers. The contract is in `tests/contracts/test_approvals.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mcp_cloud_agents.domain.decision import JobFacts
from mcp_cloud_agents.domain.job import JobId


class Answer(StrEnum):
    """Where a question is."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A job that may only start when a person says so."""

    job_id: JobId
    digest: str
    """sha256 of what would run, where, and at what price; an answer holds for exactly that."""
    rule: str
    reason: str
    asked_at: float
    expires_at: float
    """Seconds since the epoch; from then on nobody can approve it."""
    facts: JobFacts
    answer: Answer = Answer.WAITING
    answered_at: float | None = None
    answered_by: str = ""
    """`alice in a terminal`, `claude-code 2.1 (elicitation)`, `the grant …`."""
    why: str = ""
    """What was said with the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An approval of more than one job: the same kind, for a time, up to an amount."""

    id: str
    agent: str
    backend: str
    workspace: str
    rule: str
    """The rule that asked; another rule's questions are not answered."""
    until: float
    left_micros: int
    by: str


class Approvals(Protocol):
    """Blocks; any thread and process may call at any time. Every change is atomic and durable.

    All methods raise StateUnusable, NoSpace.
    """

    def ask(self, question: Question) -> Question:
        """Store a question, unless the job has one already; return what is stored."""
        ...

    def get(self, job_id: JobId, *, now: float) -> Question | None:
        """A job's question; one whose time is up says so."""
        ...

    def waiting(self, *, now: float) -> tuple[Question, ...]:
        """Those that can still be answered, oldest first."""
        ...

    def answer(
        self, job_id: JobId, digest: str, answer: Answer, *, by: str, why: str, now: float
    ) -> Question | None:
        """Answer a question that waits; only the first answer counts.

        Returns:
            The question as it is now, whoever answered it; None: there is none with this digest.
        """
        ...

    def withdraw(self, job_id: JobId, *, by: str, why: str, now: float) -> Question | None:
        """Make a yes a no, of a job that did not start; other answers stay.

        Returns:
            The question as it is now; None: there is none.
        """
        ...

    def grant(self, grant: Grant) -> None:
        """Store an approval of further jobs."""
        ...

    def grants(self, *, now: float) -> tuple[Grant, ...]:
        """Those that still hold."""
        ...

    def revoke(self, grant_id: str) -> bool:
        """Take one back; whether there was one."""
        ...

    def use_grant(self, question: Question, *, now: float) -> Grant | None:
        """The grant that answers this question, with the job's worst case taken out of it."""
        ...
