"""How the end of a fix job looks in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.lines import line
from mcp_cloud_agents.domain.fix import MICROS_PER_USD, Label
from mcp_cloud_agents.domain.rendering import change_text, counted

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.fix import CandidateReport, FixReport

_COLOURS = {Label.VERIFIED: "green", Label.LIKELY: "yellow", Label.UNVERIFIED: "red"}


def show_fix(report: FixReport) -> None:
    """Print what was tried, what it is worth, and what it cost."""
    line("fix", f"{report.outcome}: {report.summary}")
    failing = report.reproduction.failing
    if failing:
        line("failing", ", ".join(failing[:10]) + (", …" if len(failing) > 10 else ""))
    line("flaky", ", ".join(report.reproduction.flaky[:10]), "yellow")
    for one in report.candidates:
        _show_candidate(one, chosen=one.number == report.chosen)
    for step in report.choice:
        line("", step, "dim")
    if report.spent.requests:
        cost = report.spent.usd_micros / MICROS_PER_USD
        line("cost", f"{cost:.4f} USD, {counted(report.spent.requests, 'model request')}")


def _show_candidate(one: CandidateReport, *, chosen: bool) -> None:
    evidence = one.evidence
    worth = "not judged" if evidence is None else str(evidence.label)
    if evidence is not None and evidence.rejected:
        worth = "rejected"
    by = f"{one.engine} {one.model}".strip()
    change = change_text(one.files, one.insertions, one.deletions)
    mark = " (chosen)" if chosen else ""
    style = "" if evidence is None else _COLOURS[evidence.label]
    line("candidate", f"{one.number}{mark} by {by}: {worth}; {change}; {one.stopped}", style)
    for text in () if evidence is None else (*evidence.ran, *evidence.why):
        line("", text)
    for found in () if evidence is None else evidence.findings:
        line("", f"{found.path}:{found.line} {found.rule}: {found.why}", "yellow")
