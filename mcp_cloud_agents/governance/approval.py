"""What a person's yes holds for: one exact job, or for a while further jobs like it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.ports.approvals import Grant

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.actor import Actor
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.money import Estimate
    from mcp_cloud_agents.ports.approvals import Question

TERMINAL, PROGRAM = "terminal", "mcp-cloud-agents"
"""Names of actors that no MCP client gets: a person on the command line, and this program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantWish:
    """What a person who approves a job allows besides: further jobs like it."""

    minutes: float
    up_to_micros: int
    """Worst cases of all further jobs together; the approved job itself does not count."""


def question_digest(spec: JobSpec, backend: str, estimate: Estimate, rule: str = "") -> str:
    """sha256 of what an approval is bound to: a job that differs in any of it asks again.

    Args:
        spec: its digest names subagent, tree, command, set-up and limits.
        backend: where it would run.
        estimate: its worst case is the price that is agreed to.
        rule: the rule that asks.
    """
    secrets = sorted((one.name, one.source, *sorted(one.phases)) for one in spec.secrets)
    bound = {
        "work": spec.digest,
        "workspace": spec.snapshot.origin.workspace,
        "backend": backend,
        "worst_micros": estimate.worst_micros,
        "secrets": secrets,
        "rule": rule,
    }
    return hashlib.sha256(json.dumps(bound, sort_keys=True).encode(errors="replace")).hexdigest()


def grant_of(question: Question, wish: GrantWish, *, grant_id: str, by: str, now: float) -> Grant:
    """The approval of further jobs that answers the same rule's questions about the same kind."""
    facts = question.facts
    return Grant(
        id=grant_id,
        agent=facts.agent,
        backend=facts.backend,
        workspace=facts.workspace,
        rule=question.rule,
        until=now + wish.minutes * 60,
        left_micros=wish.up_to_micros,
        by=by,
    )


def covers(grant: Grant, question: Question, *, now: float) -> bool:
    """Whether a grant answers a question: all names are equal, it still holds, enough is left."""
    facts = question.facts
    asked = (facts.agent, facts.backend, facts.workspace, question.rule)
    given = (grant.agent, grant.backend, grant.workspace, grant.rule)
    return asked == given and now < grant.until and facts.worst_micros <= grant.left_micros


def answered_by(actor: Actor) -> str:
    """How an answer names who gave it: `alice in a terminal`, `codex 1.0 (elicitation)`."""
    if actor.client == TERMINAL:
        return f"{actor.os_user or 'somebody'} in a terminal"
    client = f"{actor.client} {actor.client_version}".strip() or "an MCP client"
    return f"{client} (elicitation)"
