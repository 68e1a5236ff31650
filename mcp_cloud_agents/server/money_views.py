"""From a job's money and its question to what a model reads of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.money import Money, usd
from mcp_cloud_agents.server.answers import ApprovalView, Cost, JobAnswer
from mcp_cloud_agents.server.room import cut, one_line

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.domain.money import Estimate
    from mcp_cloud_agents.ports.approvals import Question

_RULE_CHARS, _TEXT_CHARS = 100, 300


def cost_of(money: Money) -> Cost:
    """What a job will probably cost, can cost at most, holds back now, and did cost."""
    actual = money.actual_micros
    return Cost(
        estimate_usd=usd(money.estimate.expected_micros),
        worst_usd=usd(money.estimate.worst_micros),
        reserved_usd=usd(money.reserved_micros),
        actual_usd=None if actual is None else usd(actual),
    )


def estimate_answer(request: Request, estimate: Estimate) -> JobAnswer:
    """What a job may cost; nothing was started."""
    worst, expected = usd(estimate.worst_micros), usd(estimate.expected_micros)
    parts = ", ".join(f"{name} {usd(micros)}" for name, micros in estimate.parts)
    return JobAnswer(
        agent=request.agent,
        summary=f"It may cost {worst} USD at most ({parts or 'nothing is billed'}), and will "
        f"probably cost {expected} USD. Nothing was started.",
        next="Call again without estimate_only to start it.",
        cost=cost_of(Money(estimate=estimate)),
        notes=[one_line(text, _TEXT_CHARS) for text in estimate.notes] or None,
    )


def approval_of(question: Question) -> ApprovalView:
    """What a person was asked, and what came of it."""
    return ApprovalView(
        answer=question.answer,
        rule=one_line(question.rule, _RULE_CHARS),
        reason=one_line(question.reason, _TEXT_CHARS),
        expires_at=_moment(question.expires_at),
        answered_by=cut(question.answered_by, _TEXT_CHARS) or None,
        why=cut(question.why, _TEXT_CHARS) or None,
    )


def summary_of_question(question: Question) -> str:
    """One sentence on what a job waits for."""
    rule, reason = one_line(question.rule, _RULE_CHARS), one_line(question.reason, _TEXT_CHARS)
    return (
        f"The job waits for a person and nothing runs yet: rule {rule!r} asks ({reason}). It would "
        f"cost at most {usd(question.facts.worst_micros)} USD."
    )


def next_of_question(question: Question) -> str:
    """What a model can do: have the person told."""
    job = question.job_id
    return (
        f"Ask the person to run: mcp-cloud-agents approve {job} (until "
        f"{_moment(question.expires_at)}). No tool can approve it, and nobody else may. Go on "
        f'with other work, then call wait_job(job_id="{job}", timeout_s=10).'
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
