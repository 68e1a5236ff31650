"""Deciding by rules: total, deterministic, the first that fits; and a repository only tightens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mcp_cloud_agents.domain.decision import Allow, Ask, Decision, Deny, JobFacts
from mcp_cloud_agents.domain.errors import AuditUnusable
from mcp_cloud_agents.governance.conditions import Conditions, Day, first_unmet
from mcp_cloud_agents.governance.policy import (
    DEFAULT,
    Effect,
    Policy,
    Rule,
    Step,
    combine,
    decide,
    effect_of,
    explain,
    facts_from_json,
    facts_to_json,
)
from tests.unit.governance.jobs import FACTS, POLICIES, a_job

STRICTER = (Effect.ALLOW, Effect.ASK, Effect.DENY)


def strictness(decision: Decision) -> int:
    return STRICTER.index(effect_of(decision))


@settings(max_examples=60)
@given(policy=POLICIES, facts=FACTS)
def test_every_job_is_decided_and_always_in_the_same_way(policy: Policy, facts: JobFacts) -> None:
    assert decide(policy, facts) == decide(policy, facts)


@settings(max_examples=60)
@given(policy=POLICIES, facts=FACTS)
def test_the_first_rule_that_fits_decides(policy: Policy, facts: JobFacts) -> None:
    fitting = [rule for rule in policy.rules if first_unmet(rule.when, facts) is None]
    name, effect = (fitting[0].name, fitting[0].decision) if fitting else (DEFAULT, policy.default)
    decision = decide(policy, facts)
    assert (decision.rule, effect_of(decision)) == (name, effect)


@settings(max_examples=60)
@given(policy=POLICIES, facts=FACTS)
def test_the_explanation_ends_with_what_decided(policy: Policy, facts: JobFacts) -> None:
    steps, decision = explain(policy, facts), decide(policy, facts)
    assert (steps[-1].rule, steps[-1].decision) == (decision.rule, effect_of(decision))
    assert [step.matched for step in steps] == [False] * (len(steps) - 1) + [True]
    assert all(step.unmet for step in steps[:-1])


@settings(max_examples=60)
@given(person=POLICIES, repository=POLICIES, facts=FACTS)
def test_a_repository_never_loosens_what_the_person_decided(
    person: Policy, repository: Policy, facts: JobFacts
) -> None:
    own, theirs = decide(person, facts), decide(repository, facts)
    both = combine(own, theirs)
    assert strictness(both) == max(strictness(own), strictness(theirs))
    assert both == own or both.rule.startswith("repository: ")


@settings(max_examples=60)
@given(facts=FACTS)
def test_facts_come_back_from_the_audit_as_they_were(facts: JobFacts) -> None:
    assert facts_from_json(facts_to_json(facts)) == facts


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"agent": 1}'])
def test_facts_that_cannot_be_read_are_told(text: str) -> None:
    with pytest.raises(AuditUnusable):
        facts_from_json(text)


def test_facts_with_a_damaged_time_are_told() -> None:
    with pytest.raises(AuditUnusable):
        facts_from_json(facts_to_json(a_job()).replace("mon 12:00", "mon 25:00"))


def test_a_repositorys_rule_is_named_and_marked_as_its_word() -> None:
    assert combine(Allow(rule="default"), Ask(rule="r", reason="look")) == Ask(
        rule="repository: r", reason="The repository's own policy says: look"
    )
    own = Deny(rule="mine", reason="no")
    assert combine(own, Deny(rule="theirs", reason="no")) == own


def test_the_explanation_tells_the_first_condition_that_fails() -> None:
    rule = Rule(
        name="dear",
        decision=Effect.ASK,
        when=Conditions(backend="aws_*", cost_usd_above=2, kind=None),
    )
    assert explain(Policy(rules=(rule,)), a_job(backend="aws_batch", cost_micros=2_000_000)) == (
        Step(
            rule="dear",
            decision=Effect.ASK,
            matched=False,
            unmet="cost_usd_above: the job has 2",
        ),
        Step(rule="default", decision=Effect.ALLOW, matched=True),
    )


@pytest.mark.parametrize(
    ("when", "clock", "fits"),
    [
        (Conditions(hours="22:00-06:00"), "mon 22:00", True),
        (Conditions(hours="22:00-06:00"), "mon 00:00", True),
        (Conditions(hours="22:00-06:00"), "mon 05:59", True),
        (Conditions(hours="22:00-06:00"), "mon 06:00", False),
        (Conditions(hours="09:00-17:00"), "mon 08:59", False),
        (Conditions(hours="09:00-24:00"), "mon 23:59", True),
        (Conditions(hours=("00:00-01:00", "12:00-13:00")), "mon 12:30", True),
        (Conditions(days=(Day.SAT, Day.SUN)), "fri 23:59", False),
        (Conditions(days=Day.FRI, hours="22:00-06:00"), "sat 01:00", False),
        (Conditions(days=Day.FRI, hours="22:00-06:00"), "fri 01:00", True),
    ],
)
def test_days_and_hours_hold_each_for_itself(when: Conditions, clock: str, *, fits: bool) -> None:
    assert (first_unmet(when, a_job(local_time=clock)) is None) is fits


def test_only_paths_does_not_fit_a_job_on_the_whole_tree() -> None:
    when = Conditions(only_paths="docs/*")
    fitting = [("docs/a",), ("docs/a", "docs/b")]
    others: list[tuple[str, ...]] = [(), ("docs/a", "src/b")]
    assert all(first_unmet(when, a_job(paths=paths)) is None for paths in fitting)
    assert all(first_unmet(when, a_job(paths=paths)) is not None for paths in others)
