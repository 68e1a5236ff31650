"""Why a job was decided as it was: from the audit, and held against today's policy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcp_cloud_agents.domain.errors import UnknownJob
from mcp_cloud_agents.governance.policy import (
    Policy,
    Step,
    decide,
    effect_of,
    explain,
    facts_from_json,
)
from mcp_cloud_agents.ports.audit import Entry, Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A decision then, and what would be decided now."""

    job_id: str
    at: str
    """UTC, ISO 8601."""
    decided: str
    """The action of the audit's entry."""
    rule: str
    reason: str
    policy_digest: str
    facts: dict[str, Any]
    today: str
    today_rule: str
    same_policy: bool
    steps: tuple[Step, ...]
    """Of today's policy."""


def explained(links: Iterable[Link], job_id: str, today: Policy) -> Explained:
    """The newest decision about a job.

    Raises:
        UnknownJob: the audit has none.
        AuditUnusable: its facts cannot be read.
    """
    entry = _newest(links, job_id)
    facts = facts_from_json(entry.facts)
    now = decide(today, facts)
    return Explained(
        job_id=job_id,
        at=datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        decided=entry.action,
        rule=entry.rule,
        reason=entry.reason,
        policy_digest=entry.policy_digest,
        facts=json.loads(entry.facts),
        today=effect_of(now),
        today_rule=now.rule,
        same_policy=entry.policy_digest == today.digest,
        steps=explain(today, facts),
    )


def _newest(links: Iterable[Link], job_id: str) -> Entry:
    found: Entry | None = None
    for link in links:
        if link.entry.job_id == job_id and link.entry.facts:
            found = link.entry
    if found is None:
        raise UnknownJob(
            f"The audit has no decision about a job {job_id[:80]!r}.",
            hint="List the jobs with `mcp-cloud-agents jobs`.",
        )
    return found
