"""Questions to a person, for tests."""

from __future__ import annotations

from mcp_cloud_agents.domain.decision import JobFacts
from mcp_cloud_agents.domain.job import JobId, Kind
from mcp_cloud_agents.ports.approvals import Grant, Question


def some_facts(
    *, worst_micros: int = 100, backend: str = "aws_batch", workspace: str = "/a"
) -> JobFacts:
    return JobFacts(
        agent="run_tests_cloud",
        kind=Kind.TESTS,
        backend=backend,
        worst_micros=worst_micros,
        timeout_s=60,
        memory_mib=2048,
        vcpus=1,
        network=False,
        secrets=(),
        workspace=workspace,
        paths=(),
        engine=None,
        attempts=1,
        local_time="mon 14:05",
    )


def a_question(
    number: int = 1, *, digest: str = "d", rule: str = "r", facts: JobFacts | None = None
) -> Question:
    return Question(
        job_id=JobId(f"j{number}"),
        digest=digest,
        rule=rule,
        reason="it costs money",
        asked_at=float(number),
        expires_at=1_000.0,
        facts=facts or some_facts(),
    )


def a_grant(name: str = "g1", *, left_micros: int = 250, until: float = 500.0) -> Grant:
    facts = some_facts()
    return Grant(
        id=name,
        agent=facts.agent,
        backend=facts.backend,
        workspace=facts.workspace,
        rule="r",
        until=until,
        left_micros=left_micros,
        by="alice in a terminal",
    )
