"""A person's word about a job that waits: start it, give it up, or only give its money back.

Approving: the answer is stored (the first one counts) and written to the audit. Then the job is
made ready (`ready`) and starts; after a crash in between, whoever looks at it next does both.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.delegation.books import PROGRAM
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.errors import AuditUnusable, LedgerUnusable, NothingToApprove
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.governance.approval import (
    TERMINAL,
    GrantWish,
    answered_by,
    grant_of,
    question_digest,
)
from mcp_cloud_agents.governance.ledger_rebuild import details_of
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.audit import Action, Entry

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Place
    from mcp_cloud_agents.governance.ledger_rebuild import Details
    from mcp_cloud_agents.ports.approvals import Grant, Question
    from mcp_cloud_agents.ports.ledger import Order
    from mcp_cloud_agents.ports.records import Record

_log = logging.getLogger(__name__)
CANCELLED = "it was cancelled"
_YES_HOLDS_S = 3_600.0
"""A job that could not start for so long surprises whoever agreed to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a person said, and who passed it on."""

    answer: Answer
    actor: Actor
    why: str = ""
    grant: GrantWish | None = None
    """Let further jobs of this kind start as well."""
    by: str = ""
    """Who said it, where that is no person's answer."""


def withdrawn(actor: Actor) -> Word:
    """The no of whoever cancels a job that waits; a model may, and is told apart from a person."""
    client = f"{actor.client} {actor.client_version}".strip() or "an MCP client"
    by = "" if actor.client == TERMINAL else f"{client} (cancel)"
    return Word(answer=Answer.DENIED, actor=actor, why=CANCELLED, by=by)


class Approver:
    """Takes answers. Blocks; call it in a thread."""

    def __init__(self, books: Books, admission: Admission) -> None:
        self._books = books
        self._admission = admission

    def question(self, record: Record) -> Question | None:
        """What a person was asked about this job; one that is not to run holds no money any more.

        It is given back here when the time is up, and after a crash between a no and its end.
        """
        question = self._books.approvals.get(record.spec.id, now=self._books.clock.now())
        if question is None or not question.facts.worst_micros:
            return question
        try:
            if question.answer is Answer.EXPIRED:
                self._books.give_back(record, Action.EXPIRED, PROGRAM, reason=question.reason)
            elif question.answer is Answer.DENIED:
                reason = f"{question.answered_by} said no"
                self._books.give_back(record, Action.RELEASED, PROGRAM, reason=reason)
        except (LedgerUnusable, AuditUnusable) as exc:  # looking works; the next look tries again
            _log.warning("money_not_given_back: %s: %s", record.spec.id, exc.message)
        return question

    def resume(self, record: Record, actor: Actor) -> Question | None:
        """The same for a call that is repeated: a grant may answer what still waits."""
        question = self.question(record)
        return None if question is None else self._admission.granted(question, record, actor)

    def ready(self, record: Record, place: Place, question: Question) -> None:
        """All that has to be true just before an approved job starts, whoever starts it.

        Raises:
            Stopped, PolicyDenied, OverBudget, LedgerUnusable, AuditUnusable: not now.
            NothingToApprove: it is not the job, or not the price, that a person agreed to, or that
                was too long ago; it does not start any more.
            UnknownJob: it ran before.
        """
        try:
            self._check_age(record, question)
            order = self._reserve(record, place, question)
        except NothingToApprove as exc:
            self.withdraw(record, PROGRAM, why=exc.message)
            raise
        entry = Entry(
            at=0,
            action=Action.ALLOWED,
            actor=PROGRAM,
            rule=question.rule,
            reason=f"approved by {question.answered_by}",
            worst_micros=question.facts.worst_micros,
            details=details_of(order) if order is not None else (),
        )
        self._books.note(Action.ALLOWED, record, PROGRAM, entry)

    def answer(self, record: Record, place: Place, word: Word) -> Question:
        """Store the answer; of a job that was approved the caller starts what waits.

        Raises:
            NothingToApprove: it does not wait, another answer was first, or the job has changed.
            Stopped, PolicyDenied, OverBudget: it cannot start now; the question stays open.
        """
        question = self._waiting(record)
        by = word.by or answered_by(self._books.host.seen(word.actor))
        order = None
        if word.answer is Answer.APPROVED:
            order = self._reserve(record, place, question)
        stored = self._books.approvals.answer(
            question.job_id,
            question.digest,
            word.answer,
            by=by,
            why=word.why,
            now=self._books.clock.now(),
        )
        if stored is None or (stored.answer, stored.answered_by) != (word.answer, by):
            raise _too_late(record, stored)
        details = details_of(order) if order is not None else ()
        self._write_down(record, stored, word, details)
        return stored

    def grants(self) -> tuple[Grant, ...]:
        """Approvals of further jobs that still hold."""
        return self._books.approvals.grants(now=self._books.clock.now())

    def revoke(self, grant_id: str, actor: Actor) -> Grant | None:
        """Take one back; None: there is none of this id."""
        grant = next((one for one in self.grants() if one.id == grant_id), None)
        if grant is None:
            return None
        entry = Entry(
            at=self._books.clock.now(),
            action=Action.REVOKED,
            actor=self._books.host.seen(actor),
            agent=grant.agent,
            backend=grant.backend,
            workspace=grant.workspace,
            rule=grant.rule,
            details=(("grant", grant.id), ("left_usd", usd(grant.left_micros))),
        )
        self._books.audit.append(entry)
        self._books.approvals.revoke(grant_id)
        return grant

    def hold(self, record: Record, actor: Actor, *, why: str) -> None:
        """Nobody agreed now: the money is free again, the question stays open until its end."""
        if self._waiting(record).facts.worst_micros:
            self._books.give_back(record, Action.RELEASED, actor, reason=why)

    def withdraw(self, record: Record, actor: Actor, *, why: str = CANCELLED) -> None:
        """Take the yes back of a job that did not start; its money is free again."""
        by = withdrawn(actor).by or answered_by(self._books.host.seen(actor))
        now = self._books.clock.now()
        said = Entry(at=0, action=Action.DECLINED, actor=actor, reason=f"{by}: {why}")
        self._books.note(Action.DECLINED, record, actor, said)
        self._books.approvals.withdraw(record.spec.id, by=by, why=why, now=now)
        self._books.give_back(record, Action.RELEASED, actor, reason=said.reason)

    def _waiting(self, record: Record) -> Question:
        question = self.question(record)
        if question is None or question.answer is not Answer.WAITING:
            raise _too_late(record, question)
        return question

    def _reserve(self, record: Record, place: Place, question: Question) -> Order | None:
        """The money that was given back while nobody answered; what may have changed since then."""
        self._admission.check_stopped()
        self._admission.check_denied(record, place)
        estimate = self._admission.estimate(record, place)
        if question_digest(record.spec, record.backend, estimate, question.rule) != question.digest:
            raise NothingToApprove(
                f"What job {record.spec.id} would do or cost has changed since the question.",
                hint="Submit it again: the new question shows what holds now.",
            )
        return self._admission.reserve(record, estimate)

    def _check_age(self, record: Record, question: Question) -> None:
        said_at = question.answered_at or question.asked_at
        if self._books.clock.now() - said_at > _YES_HOLDS_S:
            raise NothingToApprove(
                f"Job {record.spec.id} was approved more than an hour ago and could not start.",
                hint="Submit it again, so that a person is asked anew.",
            )

    def _write_down(self, record: Record, question: Question, word: Word, details: Details) -> None:
        by = question.answered_by
        said = Entry(
            at=0,
            action=Action.APPROVED,
            actor=word.actor,
            rule=question.rule,
            reason=f"{by}: {word.why}" if word.why else by,
            worst_micros=question.facts.worst_micros,
            details=details,
        )
        if word.answer is not Answer.APPROVED:
            self._books.note(Action.DECLINED, record, word.actor, said)
            if question.facts.worst_micros:
                self._books.give_back(record, Action.RELEASED, word.actor, reason=said.reason)
            return
        self._books.note(Action.APPROVED, record, word.actor, said)
        if word.grant is not None:
            self._grant(record, question, word.grant, said)

    def _grant(self, record: Record, question: Question, wish: GrantWish, said: Entry) -> None:
        clock = self._books.clock
        grant = grant_of(
            question,
            wish,
            grant_id=f"g{clock.new_job_id()[1:]}",
            by=question.answered_by,
            now=clock.now(),
        )
        limits = (("until", f"{grant.until:.0f}"), ("up_to_usd", usd(grant.left_micros)))
        entry = replace(said, details=(("grant", grant.id), *limits))
        self._books.note(Action.GRANTED, record, said.actor, entry)
        self._books.approvals.grant(grant)


def _too_late(record: Record, question: Question | None) -> NothingToApprove:
    job = record.spec.id
    if question is None:
        return NothingToApprove(
            f"Job {job} waits for nobody.", hint="`mcp-cloud-agents approvals` lists what does."
        )
    by = f" by {question.answered_by}" if question.answered_by else ""
    return NothingToApprove(
        f"The question about job {job} was {question.answer} already{by}.",
        hint=f"`mcp-cloud-agents attach {job}` shows the job; a new submit asks again.",
    )
