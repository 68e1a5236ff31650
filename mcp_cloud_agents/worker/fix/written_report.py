"""The report of a fix for a person, in Markdown. All text of the job in it is data, kept plain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import MICROS_PER_USD
from mcp_cloud_agents.worker.fix.outcome import files, tests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp_cloud_agents.domain.fix import CandidateReport, Evidence, FixReport, Reproduction

_MOST = 20
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|!])")


def in_markdown(report: FixReport) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: FixReport) -> Iterator[str]:
    yield from ("# Fix", "", _plain(report.summary), "")
    yield from ("## On the unchanged tree", "", *_reproduction(report.reproduction), "")
    for candidate in report.candidates:
        yield from _candidate(candidate)
    if report.choice:
        yield from ("## Choice", "", *(f"- {_plain(step)}" for step in report.choice), "")
    spent = report.spent
    if spent.requests:
        yield from (
            "## Spent",
            "",
            f"${spent.usd_micros / MICROS_PER_USD:.4f} for {spent.requests} requests, "
            f"{spent.input_tokens} tokens in, {spent.output_tokens} out.",
            "",
        )
    yield from (_NOT_CAUGHT, "")


_NOT_CAUGHT = (
    "What none of this catches: a change fitted to the inputs that the tests show, and code that "
    "changes the test runner from inside in a way that no rule knows. Read the patch."
)


def _reproduction(found: Reproduction) -> Iterator[str]:
    if found.problem:
        yield _plain(f"It tells nothing: {found.problem.rstrip('.')}.")
        return
    count, each = len(found.failing), "" if found.runs == 1 else " in each"
    verb = "fails" if count == 1 else "fail"
    yield f"{found.runs} runs: {tests(count)} {verb}{each}, {found.passed} pass."
    yield from _listed("Failing", found.failing)
    yield from _listed("Flaky", found.flaky)


def _candidate(one: CandidateReport) -> Iterator[str]:
    label = one.evidence.label if one.evidence is not None else "not judged"
    label = "rejected" if one.evidence is not None and one.evidence.rejected else label
    yield from (f"## Candidate {one.number}: {label}", "")
    model = f" by {_plain(one.model)}" if one.model else ""
    lines = f"+{one.insertions} -{one.deletions}"
    change = f"{files(one.files)}, {lines}" if one.sha256 else "no change"
    yield f"- made with `{one.engine}`{model} in {one.duration_s} s: {change}"
    said = f": {_plain(one.message)}" if one.message else ""
    yield f"- ended: {one.stopped}{said}"
    if one.evidence is not None:
        yield from _evidence(one.evidence)
    yield ""


def _evidence(found: Evidence) -> Iterator[str]:
    yield from (f"- ran {_plain(sentence)}" for sentence in found.ran)
    yield from (f"- {_plain(sentence)}" for sentence in found.why)
    for title, ids in (
        ("Still failing", found.still_failing),
        ("Did not run", found.missing),
        ("Passed before, and no longer", found.regressions),
        ("Failed once, and passed when run again", found.flaky),
        ("Protected, put back", found.protected),
    ):
        yield from _listed(title, ids)
    for finding in found.findings[:_MOST]:
        where = f"{finding.path}:{finding.line}"
        yield f"- suspicious, {_plain(where)}: {_plain(finding.why)}: {_plain(finding.text)}"


def _listed(title: str, ids: Sequence[str]) -> Iterator[str]:
    if ids:
        more = f" and {len(ids) - _MOST} more" if len(ids) > _MOST else ""
        yield f"- {title}: {', '.join(_plain(test) for test in ids[:_MOST])}{more}"


def _plain(text: str) -> str:
    """On one line, and nothing in it is markup."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
