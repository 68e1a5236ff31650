"""Why a job was decided as it was, from the audit, and what holds today."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.cli.explained import explained
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.errors import UnknownJob
from mcp_cloud_agents.governance.conditions import Conditions
from mcp_cloud_agents.governance.policy import Effect, Policy, Rule, Step, facts_to_json
from mcp_cloud_agents.ports.audit import Action, Entry, Link
from tests.unit.governance.jobs import a_job


def links(*entries: Entry) -> list[Link]:
    return [
        Link(number=number, previous="0" * 64, hash="1" * 64, entry=entry)
        for number, entry in enumerate(entries, start=1)
    ]


def an_entry(job_id: str, *, at: float = 0, action: Action = Action.ALLOWED) -> Entry:
    decided = action is not Action.SETTLED
    return Entry(
        at=at,
        action=action,
        actor=Actor(),
        job_id=job_id,
        rule="default",
        policy_digest=Policy().digest,
        facts=facts_to_json(a_job(backend="aws_batch")) if decided else "",
    )


def test_the_newest_decision_is_held_against_todays_rules() -> None:
    rule = Rule(name="cloud", decision=Effect.ASK, when=Conditions(backend="aws_batch"))
    entries = links(
        an_entry("j1", action=Action.ASKED),
        an_entry("j1", at=60, action=Action.ALLOWED),
        an_entry("j1", at=90, action=Action.SETTLED),
        an_entry("j2", at=99),
    )
    found = explained(entries, "j1", Policy(rules=(rule,)))
    assert (found.at, found.decided, found.rule) == (
        "1970-01-01T00:01:00+00:00",
        "allowed",
        "default",
    )
    assert found.facts["backend"] == "aws_batch"
    assert (found.today, found.today_rule, found.same_policy) == ("ask", "cloud", True)
    assert found.steps == (Step(rule="cloud", decision=Effect.ASK, matched=True),)


def test_another_policy_than_then_is_told() -> None:
    assert not explained(links(an_entry("j1")), "j1", Policy(digest="f" * 64)).same_policy


def test_a_job_that_was_never_decided_is_unknown() -> None:
    with pytest.raises(UnknownJob):
        explained(links(an_entry("j1", action=Action.SETTLED)), "j1", Policy())
