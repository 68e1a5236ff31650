"""Fourth stage: may this job start, what may it cost, and is that money there?

    stopped? ─ estimate ─ policy ─ reserve ─ audit ─┬─ allowed: start it
                                                    └─ ask: a question waits for a person

Everything may be repeated for the same job: a crash at any point leaves at most a reservation,
which the next call finds by the job's id or the sweep gives back.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from statistics import median_high
from typing import TYPE_CHECKING, Protocol, assert_never

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.decision import Allow, Ask, Decision, Deny, JobFacts
from mcp_cloud_agents.domain.errors import (
    AgentsError,
    LedgerUnusable,
    OverBudget,
    PolicyDenied,
    Stopped,
    UnknownJob,
)
from mcp_cloud_agents.domain.money import Estimate
from mcp_cloud_agents.governance.approval import question_digest
from mcp_cloud_agents.governance.budget import (
    Spender,
    check_job,
    limits_of,
    over_budget,
    period_of,
)
from mcp_cloud_agents.governance.ledger_rebuild import details_of
from mcp_cloud_agents.governance.policy import facts_to_json
from mcp_cloud_agents.ports.approvals import Answer, Question
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.ledger import (
    Order,
    OverLimit,
    ReservationState,
    Reserved,
    ScopeKind,
    Tags,
)
from mcp_cloud_agents.ports.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Place
    from mcp_cloud_agents.domain.budget import BudgetTable

_START_WITHIN_S = 3_600.0
"""A submit takes minutes at most; then a job that no place knows was never started."""
_PAST = 20


class Rules(Protocol):
    """What persons wrote down. Blocks: reads the person's file, which may change at any time."""

    def decide(self, facts: JobFacts, repository: bytes | None) -> tuple[Decision, str]:
        """The decision and the digest of the policy; the repository's own can only tighten it.

        Raises:
            BadConfig: one of the two files is wrong, so nothing is allowed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job that asks to be started."""

    record: Record
    actor: Actor
    estimate: Estimate
    facts: JobFacts
    policy_digest: str = ""
    order: Order | None = None
    """What holds its money."""

    def entry(self, *, rule: str = "", reason: str = "") -> Entry:
        """What the audit says of its decision."""
        return Entry(
            at=0,
            action=Action.ALLOWED,
            actor=self.actor,
            rule=rule,
            reason=reason,
            worst_micros=self.estimate.worst_micros,
            policy_digest=self.policy_digest,
            facts=facts_to_json(self.facts),
            details=details_of(self.order) if self.order is not None else (),
        )


class Admission:
    """Decides whether jobs may start. Blocks; call it in a thread.

    Args:
        books: what is written.
        rules: what persons wrote down.
        budget: what may be spent, as it is written now; may raise BadConfig.
        stopped: why nothing may start; empty: it may.
        local_time: weekday and time of a moment, `mon 14:05`, as `telemetry.local_time` tells it.
    """

    def __init__(
        self,
        books: Books,
        rules: Rules,
        budget: Callable[[], BudgetTable],
        stopped: Callable[[], str],
        local_time: Callable[[float], str],
    ) -> None:
        self._books = books
        self._rules = rules
        self._budget = budget
        self._stopped = stopped
        self._local_time = local_time
        self._newest: float | None = None
        self._asked_at = 0.0

    def admit(self, record: Record, place: Place, actor: Actor) -> Question | None:
        """Decide, hold the money back, and write both down.

        Returns:
            None: it may start now. Else the question that a person has to answer first.

        Raises:
            Stopped, PolicyDenied, OverBudget: it may not start; no money is held.
            BadConfig: a policy is wrong.
            LedgerUnusable, AuditUnusable, StateUnusable, NoSpace: nobody can say; nothing starts.
        """
        case = self._case(record, place, actor)
        with self._denials(case):
            self.check_stopped()
            repository = place.packer.repository_policy(record.spec.snapshot)
            decision, digest = self._rules.decide(case.facts, repository)
            case = replace(case, policy_digest=digest)
            if isinstance(decision, Deny):
                raise _denied(decision, record)
            case = replace(case, order=self.reserve(record, case.estimate))
        with self._giving_back(case):
            match decision:
                case Allow():
                    self._books.note(Action.ALLOWED, record, actor, case.entry(rule=decision.rule))
                    return None
                case Ask():
                    return self._ask(case, decision)
                case _:
                    assert_never(decision)

    def estimate(self, record: Record, place: Place) -> Estimate:
        """What the job may cost, and what such jobs did cost before. Raises BadConfig."""
        estimate = place.pricing.estimate(record.spec)
        if not estimate.worst_micros:
            return estimate
        past = self._books.ledger.past_micros(_tags(record), limit=_PAST)
        if not past:
            return estimate
        expected = min(median_high(past), estimate.worst_micros)
        return replace(estimate, expected_micros=expected)

    def reserve(self, record: Record, estimate: Estimate) -> Order | None:
        """Hold the money of a job back; None: it is free.

        Raises:
            OverBudget: a limit would be passed.
            UnknownJob: it ran and was billed; only what it left is gone.
            LedgerUnusable: nobody can say what is left.
        """
        budget = self._budget()
        check_job(budget, estimate.worst_micros)
        if not estimate.worst_micros:
            return None
        order = self._order(record, estimate, budget)
        outcome = self._books.ledger.reserve([order])
        if isinstance(outcome, OverLimit) and self._raised(order, outcome):
            outcome = self._books.ledger.reserve([order])
        match outcome:
            case Reserved(already=already):
                if already:
                    self._check_unbilled(record)
                return order
            case OverLimit():
                raise over_budget(outcome)
            case _:
                assert_never(outcome)

    def check_stopped(self) -> None:
        """Refuse while a person has stopped everything. Raises Stopped."""
        if why := self._stopped():
            raise Stopped(why, hint="A person lets jobs start again by `mcp-cloud-agents resume`.")

    def check_denied(self, record: Record, place: Place) -> None:
        """Refuse what the person's policy denies by now, whoever agreed before.

        Raises:
            PolicyDenied, BadConfig.
        """
        decision, _ = self._rules.decide(self._case(record, place, Actor()).facts, None)
        if isinstance(decision, Deny):
            raise _denied(decision, record)

    def _check_unbilled(self, record: Record) -> None:
        """A place that forgot a job does not run it again on money that was spent."""
        held = self._books.reservation(record)
        if held is not None and held.state is ReservationState.SETTLED:
            raise UnknownJob(
                f"Job {record.spec.id} ended and was billed; what it left was removed since.",
                hint="Submit it again, with another idempotency_key.",
            )

    def _order(self, record: Record, estimate: Estimate, budget: BudgetTable) -> Order:
        now = self._books.clock.now()
        at = self._period(now)
        spender = Spender(
            session=self._books.host.session, workspace=record.spec.snapshot.origin.workspace
        )
        return Order(
            token=record.spec.id,
            amount_micros=estimate.worst_micros,
            limits=limits_of(budget, spender, at),
            at=at,
            expires_at=now + _START_WITHIN_S,
            tags=_tags(record),
        )

    def _period(self, now: float) -> float:
        """The time whose limits count. The ledger is asked again when the clock went back."""
        if self._newest is None or now < self._asked_at:
            self._newest = self._books.ledger.latest_at() or 0.0
        self._asked_at = now
        at = period_of(now, self._newest or None)
        self._newest = max(self._newest, at)
        return at

    def _raised(self, order: Order, refused: OverLimit) -> bool:
        """Whether the person's file has a higher limit than what is stored; then it is stored."""
        stored = refused.balance.limit
        wanted = next((one for one in order.limits if one.scope == stored.scope), None)
        if wanted is None or stored.scope.kind is ScopeKind.TEAM:  # others have a say in those
            return False
        if wanted.cap_micros <= stored.cap_micros:
            return False
        for limit in order.limits:
            if limit.scope.kind is not ScopeKind.TEAM:
                self._books.ledger.set_cap(limit)
        return True

    def _case(self, record: Record, place: Place, actor: Actor) -> Case:
        estimate = place.pricing.estimate(record.spec)  # what is expected decides nothing
        local_time = self._local_time(self._books.clock.now())
        facts = facts_of(record, estimate, place.pricing.vcpus(record.spec), local_time)
        return Case(record=record, actor=actor, estimate=estimate, facts=facts)

    @contextmanager
    def _denials(self, case: Case) -> Generator[None]:
        """Write every no down before it is told; an earlier call may have left money held."""
        try:
            yield
        except (Stopped, PolicyDenied, OverBudget) as exc:
            entry = case.entry(reason=exc.message)
            self._books.note(Action.DENIED, case.record, case.actor, entry)
            self._release(case)
            raise

    @contextmanager
    def _giving_back(self, case: Case) -> Generator[None]:
        """What could not be written down must hold no money."""
        try:
            yield
        except AgentsError:
            self._release(case)
            raise

    def _release(self, case: Case) -> None:
        if not case.estimate.worst_micros:
            return
        with suppress(LedgerUnusable):  # the sweep gives it back once the ledger works
            self._books.ledger.release(case.record.spec.id, at=self._books.clock.now())

    def _ask(self, case: Case, ask: Ask) -> Question:
        """A question, unless a grant answers it."""
        books, now = self._books, self._books.clock.now()
        question = Question(
            job_id=case.record.spec.id,
            digest=question_digest(case.record.spec, case.record.backend, case.estimate, ask.rule),
            rule=ask.rule,
            reason=ask.reason,
            asked_at=now,
            expires_at=now + self._budget().approval_minutes * 60,
            facts=case.facts,
        )
        entry = case.entry(rule=ask.rule, reason=ask.reason)
        books.note(Action.ASKED, case.record, case.actor, entry)
        return self.granted(books.approvals.ask(question), case.record, case.actor)

    def granted(self, question: Question, record: Record, actor: Actor) -> Question:
        """The question, answered where it waits and a grant says yes."""
        books, now = self._books, self._books.clock.now()
        if question.answer is not Answer.WAITING:
            return question
        if (grant := books.approvals.use_grant(question, now=now)) is None:
            return question
        by = f"the grant {grant.id} of {grant.by}"
        worst = question.facts.worst_micros
        said = Entry(
            at=0,
            action=Action.APPROVED,
            actor=actor,
            rule=question.rule,
            reason=by,
            worst_micros=worst,
        )
        books.note(Action.APPROVED, record, actor, said)
        answered = books.approvals.answer(
            question.job_id, question.digest, Answer.APPROVED, by=by, why="", now=now
        )
        return answered or question


def facts_of(record: Record, estimate: Estimate, vcpus: float, local_time: str) -> JobFacts:
    """What policy is told."""
    spec = record.spec
    return JobFacts(
        agent=spec.agent,
        kind=spec.kind,
        backend=record.backend,
        worst_micros=estimate.worst_micros,
        timeout_s=spec.limits.timeout_s,
        memory_mib=spec.limits.memory_mib,
        vcpus=vcpus,
        network=bool(spec.setup.commands),
        secrets=tuple(one.name for one in spec.secrets),
        workspace=spec.snapshot.origin.workspace,
        paths=tuple(one for one in (spec.folder, *spec.paths) if one),
        engine=spec.fix.engine if spec.fix is not None else None,
        attempts=spec.fix.attempts if spec.fix is not None else 1,
        local_time=local_time,
    )


def _tags(record: Record) -> Tags:
    spec = record.spec
    models = spec.fix.models if spec.fix is not None else ()
    return Tags(
        agent=spec.agent,
        backend=record.backend,
        workspace=spec.snapshot.origin.workspace,
        model=models[0].model if models else "",
    )


def _denied(deny: Deny, record: Record) -> PolicyDenied:
    return PolicyDenied(
        f"The rule {deny.rule!r} of a policy says no: {deny.reason}",
        hint="Ask for something that the policy allows, or let a person change it; "
        f"`mcp-cloud-agents policy explain {record.spec.id}` shows why.",
    )
