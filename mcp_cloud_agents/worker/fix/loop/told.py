"""Test reports, verdicts and output as a model gets them: ids and few lines each, never a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcp_cloud_agents.domain.fix import Evidence
    from mcp_cloud_agents.domain.result import TestCase, TestReport

MAX_CHARS = 10_000
"""Of what one tool gives back: the first and the last half (as mini-swe-agent does)."""
_MAX_FAILURES = 20
_MAX_IDS = 20
_MAX_LINES = 20
_MAX_LINE_CHARS = 400
_FAILED = frozenset({Outcome.FAILED, Outcome.ERROR})


def clipped(text: str, limit: int = MAX_CHARS) -> str:
    """The first and the last half of a text that is too long."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def failing(report: TestReport) -> tuple[TestCase, ...]:
    """The cases that failed."""
    return tuple(case for case in report.cases if case.outcome in _FAILED)


def told_report(report: TestReport, *, ids: Sequence[str] = ()) -> str:
    """A report in words: counts, then each failing test; `ids` are those that were asked for."""
    lines: list[str] = []
    if report.problem:
        lines.append(f"No usable report: {_line(report.problem)}")
    elif not report.complete:
        lines.append("The run ended before its report was complete.")
    failed = failing(report)
    passed = sum(case.outcome is Outcome.PASSED for case in report.cases)
    skipped = sum(case.outcome is Outcome.SKIPPED for case in report.cases)
    lines.append(f"{passed} passed, {len(failed)} failed, {skipped} skipped")
    lines += [line for case in failed[:_MAX_FAILURES] for line in _told_case(case)]
    if len(failed) > _MAX_FAILURES:
        rest = [case.id for case in failed[_MAX_FAILURES:]]
        lines.append(f"and {len(rest)} more: {_named(rest)}")
    if report.unfinished:
        lines.append(f"started and never ended: {_named(report.unfinished)}")
    known = {case.id for case in report.cases}
    if missing := [one for one in ids if one not in known]:
        lines.append(f"not in the report: {_named(missing)}")
    return clipped("\n".join(lines))


def told_evidence(evidence: Evidence) -> str:
    """Why a change was not accepted, with ids."""
    groups = (
        ("still failing", evidence.still_failing),
        ("missing from the report", evidence.missing),
        ("passed before and fail now", evidence.regressions),
        ("protected paths, put back: undo these changes", evidence.protected),
    )
    lines = [_line(why) for why in evidence.why]
    lines += [f"{what}: {_named(ids)}" for what, ids in groups if ids]
    lines += [
        f"suspicious: {finding.path}:{finding.line}: {_line(finding.why)}"
        for finding in evidence.findings[:_MAX_IDS]
    ]
    return clipped("\n".join(lines) or "no reason was given")


def accepted(evidence: Evidence) -> bool:
    """Whether there is nothing more that the model could do about it.

    A label below `verified` for what no change can mend, such as a test that is flaky on the base,
    is no reason to ask for another change.
    """
    mendable = (
        *(evidence.still_failing, evidence.missing, evidence.regressions),
        *(evidence.protected, evidence.findings),
    )
    return not evidence.rejected and not any(mendable)


def _told_case(case: TestCase) -> list[str]:
    place = f" ({case.file}:{case.line})" if case.file and case.line else ""
    said = case.details or tuple(case.message.splitlines())
    if case.message and case.details and case.message.strip() not in "\n".join(case.details):
        said = (case.message, *case.details)
    lines = [line for text in said for line in text.splitlines()]
    shown = [f"    {_line(line)}" for line in lines[: _MAX_LINES - 1]]
    return [f"{case.outcome.value.upper()} {_line(case.id)}{place}", *shown]


def _named(ids: Iterable[str]) -> str:
    names = [_line(one) for one in ids]
    rest = f" and {len(names) - _MAX_IDS} more" if len(names) > _MAX_IDS else ""
    return ", ".join(names[:_MAX_IDS]) + rest


def _line(text: str) -> str:
    flat = render_text(text).replace("\n", " ").rstrip()
    return flat if len(flat) <= _MAX_LINE_CHARS else f"{flat[:_MAX_LINE_CHARS]}…"
