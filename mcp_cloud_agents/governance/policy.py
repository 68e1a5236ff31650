"""Whether a job may start: the first rule that fits it says so. Pure, total, deterministic."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mcp_cloud_agents.domain.decision import Allow, Ask, Decision, Deny, JobFacts
from mcp_cloud_agents.domain.errors import AuditUnusable
from mcp_cloud_agents.governance.conditions import Conditions, first_unmet

DEFAULT = "default"
"""What decides where no rule fits."""
NOTHING = hashlib.sha256(b"").hexdigest()
REPOSITORY = "repository: "
"""Begins the name of a rule that is a repository's own."""


class Effect(StrEnum):
    """What a rule says."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All its conditions have to hold; without any it fits every job."""

    name: str
    decision: Effect
    reason: str = ""
    when: Conditions = field(default_factory=Conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules in their order. The one without a file allows everything within the budget."""

    rules: tuple[Rule, ...] = ()
    default: Effect = Effect.ALLOW
    digest: str = NOTHING
    """sha256 of the file's content, hex: what the audit names."""
    file: str = ""
    """Where it was read from; empty: built in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How one rule was held against a job."""

    rule: str
    decision: Effect
    matched: bool
    unmet: str = ""
    """The first condition that does not hold, and what the job has there."""


def decide(policy: Policy, facts: JobFacts) -> Decision:
    """What the first rule that fits says, else the default."""
    for rule in policy.rules:
        if first_unmet(rule.when, facts) is None:
            told = rule.reason or "It gives no reason."
            return _decision(rule.decision, rule.name, told)
    return _decision(policy.default, DEFAULT, "No rule fits, and this is the policy's default.")


def explain(policy: Policy, facts: JobFacts) -> tuple[Step, ...]:
    """Each rule up to the one that decided, which is the last and the only one that matched."""
    steps: list[Step] = []
    for rule in policy.rules:
        unmet = first_unmet(rule.when, facts)
        told = f"{unmet.name}: the job has {unmet.has}" if unmet else ""
        steps.append(
            Step(rule=rule.name, decision=rule.decision, matched=unmet is None, unmet=told)
        )
        if unmet is None:
            return tuple(steps)
    return (*steps, Step(rule=DEFAULT, decision=policy.default, matched=True))


def combine(person: Decision, repository: Decision) -> Decision:
    """The stricter of the two; a repository can only tighten, so of equals the person's stands.

    A repository's rule is named as such, and its reason is marked as its word: it is untrusted.
    """
    if _STRICTNESS[type(repository)] <= _STRICTNESS[type(person)]:
        return person
    if isinstance(repository, Allow):
        return person
    rule = REPOSITORY + repository.rule
    reason = f"The repository's own policy says: {repository.reason}"
    return replace(repository, rule=rule, reason=reason)


_STRICTNESS: dict[type[Decision], int] = {Allow: 0, Ask: 1, Deny: 2}


def effect_of(decision: Decision) -> Effect:
    """The word for a decision."""
    match decision:
        case Allow():
            return Effect.ALLOW
        case Ask():
            return Effect.ASK
        case Deny():
            return Effect.DENY


def _decision(effect: Effect, rule: str, reason: str) -> Decision:
    match effect:
        case Effect.ALLOW:
            return Allow(rule=rule)
        case Effect.ASK:
            return Ask(rule=rule, reason=reason)
        case Effect.DENY:
            return Deny(rule=rule, reason=reason)


def facts_to_json(facts: JobFacts) -> str:
    """One line of JSON for the audit; equal facts give equal text."""
    import msgspec

    return msgspec.json.encode(facts, order="deterministic").decode()


def facts_from_json(text: str) -> JobFacts:
    """The facts of an entry of the audit.

    Raises:
        AuditUnusable: they were not written by this version, or are damaged.
    """
    import msgspec

    try:
        return msgspec.json.decode(text, type=JobFacts)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise AuditUnusable(
            f"The facts of this decision in the audit cannot be read: {exc}.",
            hint="Upgrade mcp-cloud-agents; a later version may have written them.",
        ) from exc
