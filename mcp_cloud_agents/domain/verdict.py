"""The judgement over a test run, and its short form for an answer.

The rule: a verdict is counted from ids in a report. An exit code can only make it worse.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import (
    Counts,
    Failure,
    FailureKind,
    Outcome,
    Verdict,
    VerdictOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.domain.result import TestCase, TestReport

_MAX_ALSO = 2
_MAX_FAILURES = 1_000
_SLOWEST = 3
_BAD = (Outcome.FAILED, Outcome.ERROR)
_WORST_FIRST = (
    FailureKind.COLLECTION,
    FailureKind.CRASH,
    FailureKind.TIMEOUT,
    FailureKind.ERROR,
    FailureKind.ASSERT,
    None,
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_WORD = re.compile(r"\S+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def judge(report: TestReport, *, exit_code: int | None) -> Verdict:
    """Judge a run.

    Args:
        report: what the runner told; untrusted, so a pass needs every sign of one.
        exit_code: of the command; None when it never started.
    """
    counts = _count(report)
    outcome = _outcome(report, counts, exit_code)
    timed = sorted((case for case in report.cases if case.duration_s > 0), key=_by_duration)
    return Verdict(
        outcome=outcome,
        counts=counts,
        summary=_summary(report, outcome, counts, exit_code),
        failures=_fold(case for case in report.cases if case.outcome in _BAD)[:_MAX_FAILURES],
        slowest=tuple((case.id, case.duration_s) for case in timed[:_SLOWEST]),
        unfinished=report.unfinished,
    )


def _by_duration(case: TestCase) -> float:
    return -case.duration_s


def _count(report: TestReport) -> Counts:
    by = dict.fromkeys(Outcome, 0)
    for case in report.cases:
        by[case.outcome] += 1
    ended = {case.id for case in report.cases}
    lost = sum(1 for test in report.unfinished if test not in ended)
    missing = max(lost, (report.expected or 0) - len(report.cases))
    return Counts(
        total=len(report.cases) + missing,
        passed=by[Outcome.PASSED],
        failed=by[Outcome.FAILED],
        errors=by[Outcome.ERROR],
        skipped=by[Outcome.SKIPPED],
        missing=missing,
    )


def _outcome(report: TestReport, counts: Counts, exit_code: int | None) -> VerdictOutcome:
    if counts.failed or counts.errors:
        return VerdictOutcome.FAILED
    if not report.complete or counts.missing or report.unfinished or report.problem:
        ran = counts.total or report.unfinished
        return VerdictOutcome.INCOMPLETE if ran else VerdictOutcome.NONE
    if not counts.passed:
        return VerdictOutcome.NONE
    return VerdictOutcome.PASSED if exit_code == 0 else VerdictOutcome.FAILED


def _summary(
    report: TestReport, outcome: VerdictOutcome, counts: Counts, exit_code: int | None
) -> str:
    problem = " ".join(report.problem.split()).rstrip(".")[:500]
    match outcome:
        case VerdictOutcome.PASSED:
            return f"{_tests(counts.passed)} passed{_aside(counts)}."
        case VerdictOutcome.FAILED if counts.failed or counts.errors:
            bad, lost = counts.failed + counts.errors, _lost(report, counts)
            return f"{bad} of {_tests(counts.total)} failed{_aside(counts)}{lost}."
        case VerdictOutcome.FAILED:
            return (
                f"{_tests(counts.passed)} passed{_aside(counts)}, but the command ended with exit "
                f"code {exit_code}: something beside the tests failed (a coverage threshold, a "
                "plugin, a later command)."
            )
        case VerdictOutcome.INCOMPLETE:
            why = problem or "The run ended before all tests had"
            return f"{why}: {counts.passed} passed{_aside(counts)}{_lost(report, counts)}."
        case VerdictOutcome.NONE if problem:
            return f"No test was reported: {problem}."
        case VerdictOutcome.NONE if counts.skipped:
            return f"No test ran: {_tests(counts.skipped)} skipped."
        case VerdictOutcome.NONE:
            return "No test ran: the command selected none."


def _tests(count: int) -> str:
    return f"{count} test" if count == 1 else f"{count} tests"


def _aside(counts: Counts) -> str:
    return f", {counts.skipped} skipped" if counts.skipped else ""


def _lost(report: TestReport, counts: Counts) -> str:
    lost = f", {counts.missing} did not run" if counts.missing else ""
    return f"{lost}; it stopped in {report.unfinished[0][:200]}" if report.unfinished else lost


def _fold(cases: Iterable[TestCase]) -> tuple[Failure, ...]:
    """One entry for all failures that say the same; worst kinds first, then the most frequent."""
    groups: dict[tuple[str, ...], list[TestCase]] = {}
    for case in cases:
        groups.setdefault(_likeness(case), []).append(case)
    folded = [
        Failure(
            test=group[0],
            same=len(group),
            also=tuple(case.id for case in group[1 : 1 + _MAX_ALSO]),
        )
        for group in groups.values()
    ]
    rank = {kind: number for number, kind in enumerate(_WORST_FIRST)}
    return tuple(sorted(folded, key=lambda one: (rank[one.test.kind], -one.same)))


def _likeness(case: TestCase) -> tuple[str, ...]:
    """What two failures must share to be one entry.

    Addresses, paths and numbers do not count, with one exception: in an assertion the numbers are
    the news (`assert 1 == 2` is not `assert 7 == 9`), unless both are parameters of one test.
    """
    if not case.message:
        return (case.id,)
    text = _ADDRESS.sub("ADDRESS", _WORD.sub(_level_path, case.message))
    if case.kind is not FailureKind.ASSERT:
        return str(case.kind), _NUMBER.sub("N", text)
    function, bracket, _ = case.id.partition("[")
    return ("assert", function, _NUMBER.sub("N", text)) if bracket else ("assert", text)


def _level_path(word: re.Match[str]) -> str:
    return "PATH" if "/" in word[0] else word[0]


_MAX_ID, _MAX_MESSAGE, _MAX_LINE = 300, 300, 200
_MAX_UNFINISHED = 5
_NOT_SHOWN_CHARS = len(', "not_shown": 1000000')


def compact(verdict: Verdict, budget_chars: int) -> dict[str, object]:
    """The verdict as a JSON object of at most `budget_chars` characters, most needed first.

    Counts, then one line for each failure, then what their output says while it fits, then the
    slowest. `not_shown` counts the failing tests that found no room.
    """
    answer = _Fitting(budget_chars)
    answer.add("counts", _counts(verdict.counts))
    if verdict.unfinished:
        shown = [test[:_MAX_ID] for test in verdict.unfinished[:_MAX_UNFINISHED]]
        answer.add("unfinished", shown)
    if verdict.failures:
        _add_failures(answer, verdict)
    if verdict.slowest:
        slowest = [{"id": test[:_MAX_ID], "s": round(took, 2)} for test, took in verdict.slowest]
        answer.add("slowest", slowest)
    return answer.value


class _Fitting:
    """A JSON object that never takes more than it has room for."""

    def __init__(self, budget_chars: int) -> None:
        self.value: dict[str, object] = {}
        self.room = budget_chars - len("{}")

    def add(self, key: str, value: object) -> bool:
        """Add the pair if it fits."""
        return self.spend(_size(key) + len(": , ") + _size(value)) and self._set(key, value)

    def spend(self, chars: int) -> bool:
        """Take room for something that is added elsewhere; False when there is none."""
        if chars > self.room:
            return False
        self.room -= chars
        return True

    def _set(self, key: str, value: object) -> bool:
        self.value[key] = value
        return True


def _add_failures(answer: _Fitting, verdict: Verdict) -> None:
    entries: list[dict[str, object]] = []
    if not answer.spend(_NOT_SHOWN_CHARS) or not answer.add("failures", entries):
        return
    shown: list[tuple[dict[str, object], Failure]] = []
    for failure in verdict.failures:
        entry = _line(failure)
        if answer.spend(_size(entry) + len(", ")):
            entries.append(entry)
            shown.append((entry, failure))
    bad = verdict.counts.failed + verdict.counts.errors
    left_out = bad - sum(one.same for _, one in shown)
    if left_out > 0:
        answer.value["not_shown"] = min(left_out, 1_000_000)
    for entry, failure in shown:
        _add_excerpt(answer, entry, failure)


def _add_excerpt(answer: _Fitting, entry: dict[str, object], failure: Failure) -> None:
    """The whole output, or as many of its first lines as there is room for."""
    lines: list[str] = []
    if not failure.test.details or not answer.spend(len(', "excerpt": []')):
        return
    for line in failure.test.details:
        cut = line[:_MAX_LINE]
        if not answer.spend(_size(cut) + len(", ")):
            break
        lines.append(cut)
    if lines:
        entry["excerpt"] = lines


def _line(failure: Failure) -> dict[str, object]:
    test = failure.test
    entry: dict[str, object] = {"id": test.id[:_MAX_ID]}
    if test.file is not None:
        entry["at"] = f"{test.file}:{test.line}" if test.line is not None else test.file
    if test.kind is not None:
        entry["kind"] = str(test.kind)
    entry["message"] = test.message[:_MAX_MESSAGE]
    if failure.same > 1:
        entry["same"] = failure.same
        entry["also"] = [other[:_MAX_ID] for other in failure.also]
    return entry


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "total": counts.total,
        "passed": counts.passed,
        "failed": counts.failed,
        "errors": counts.errors,
        "skipped": counts.skipped,
        "missing": counts.missing,
    }


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False))
