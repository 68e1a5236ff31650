"""From the report of a fix job to what a model reads of it: label, evidence, candidates, money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import Engine, FixOutcome
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.server.answers import CandidateView, EvidenceView, FixView
from mcp_cloud_agents.server.room import cut, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.domain.fix import CandidateReport, Evidence, FixReport

_IDS_CHARS, _WHY_CHARS, _STEPS_CHARS = 700, 700, 600
_MOST_CANDIDATES = 8
NOT_JUDGED = "none yet: the change is what the command left, not judged by tests"


def fix_view(report: FixReport) -> FixView:
    """The report, short enough for an answer."""
    chosen = chosen_of(report)
    evidence = None if chosen is None else chosen.evidence
    return FixView(
        outcome=report.outcome,
        label=None if evidence is None else evidence.label,
        chosen=report.chosen,
        failing=_texts(report.reproduction.failing, _IDS_CHARS),
        flaky=_texts(report.reproduction.flaky, _IDS_CHARS),
        problem=cut(report.reproduction.problem, 300) or None,
        evidence=None if evidence is None else _evidence(evidence),
        choice=_texts(report.choice, _STEPS_CHARS),
        candidates=[_candidate(one) for one in report.candidates[:_MOST_CANDIDATES]],
        spent_usd=usd(report.spent.usd_micros),
        model_requests=report.spent.requests,
    )


def chosen_of(report: FixReport) -> CandidateReport | None:
    """The candidate whose patch is offered."""
    return next((one for one in report.candidates if one.number == report.chosen), None)


def evidence_of(report: FixReport | None) -> str:
    """What a patch is worth, in one line."""
    chosen = None if report is None else chosen_of(report)
    if chosen is None or chosen.evidence is None:
        return NOT_JUDGED
    told = (*chosen.evidence.ran, *chosen.evidence.why)
    return cut(f"{chosen.evidence.label}: {' '.join(told)}", 600)


def next_of_fix(job: str, report: FixReport) -> str:
    """What to call next."""
    match report.outcome:
        case FixOutcome.PATCH:
            return f'See what it would change: apply_patch(job_id="{job}", mode="check").'
        case FixOutcome.NO_PATCH:
            free = all(one.engine is Engine.COMMAND for one in report.candidates)
            other = "another command" if free else "a narrower goal, more attempts"
            return (
                f'Read why in fix.candidates and get_artifact(job_id="{job}", name="report.md"); '
                f"then ask again with {other} or another engine."
            )
        case FixOutcome.NOTHING_TO_FIX:
            return "Pass a test_command that fails because of the goal; nothing was spent."
        case FixOutcome.CANNOT_JUDGE:
            return (
                "Mend the target first (fix.problem and fix.flaky say what is wrong), or pass "
                "another test_command; nothing was spent."
            )


def _evidence(evidence: Evidence) -> EvidenceView:
    return EvidenceView(
        ran=_texts(evidence.ran, _WHY_CHARS),
        why=_texts(evidence.why, _WHY_CHARS),
        mended=_texts(evidence.mended, _IDS_CHARS),
        regressions=_texts(evidence.regressions, _IDS_CHARS),
        put_back=_texts(evidence.protected, _IDS_CHARS),
        suspicious=_texts(
            (f"{one.path}:{one.line} {one.rule}: {one.why}" for one in evidence.findings),
            _WHY_CHARS,
        ),
    )


def _candidate(one: CandidateReport) -> CandidateView:
    evidence = one.evidence
    return CandidateView(
        number=one.number,
        engine=one.engine,
        model=cut(one.model, 100) or None,
        stopped=one.stopped,
        label=None if evidence is None else evidence.label,
        rejected=None if evidence is None else evidence.rejected,
        why=_texts(() if evidence is None else evidence.why, 400),
        message=cut(one.message, 200) or None,
        files=one.files,
        insertions=one.insertions,
        deletions=one.deletions,
        spent_usd=usd(one.spent.usd_micros),
        model_requests=one.spent.requests,
    )


def _texts(texts: Iterable[str], chars: int) -> list[str]:
    return within([cut(text, 250) for text in texts], chars)
