"""What a reproduction means for the rest, and how a fix job's end is told. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import Engine, FixOutcome, Label, StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.fix import CandidateReport, Evidence, FixOrder, Reproduction

_NAMED, _NAME_CHARS = 3, 120


def ends_before(
    order: FixOrder, reproduction: Reproduction, *, runner: str | None, exit_code: int | None
) -> tuple[FixOutcome, str] | None:
    """Whether the job ends before anything is made, and money spent; None: it goes on.

    Args:
        order: what was asked for.
        reproduction: the target on the unchanged tree.
        runner: whose report the target leaves; None: it leaves none.
        exit_code: of the target's first run.
    """
    free = order.engine is Engine.COMMAND
    if runner is None:
        if exit_code == 0 and not free:
            return FixOutcome.NOTHING_TO_FIX, "The command ends with exit code 0 as it is."
        return None
    if reproduction.problem:
        return (
            FixOutcome.CANNOT_JUDGE,
            f"The target tells nothing: {reproduction.problem.rstrip('.')}.",
        )
    if reproduction.failing:
        return None
    if reproduction.flaky:
        return FixOutcome.CANNOT_JUDGE, _flaky(reproduction)
    if free:
        return None
    passed = f"{tests(reproduction.passed)} passed in each of {reproduction.runs} runs"
    return FixOutcome.NOTHING_TO_FIX, f"No test of the target fails: {passed}."


def _flaky(reproduction: Reproduction) -> str:
    count = len(reproduction.flaky)
    return (
        f"The target is flaky: {tests(count)} failed in one of {reproduction.runs} runs on the "
        f"same tree ({named(reproduction.flaky)}), none in both."
    )


def reproduced(reproduction: Reproduction, *, runner: str | None, exit_code: int | None) -> str:
    """The line about it in the log."""
    if runner is None:
        code = "no test command" if exit_code is None else f"exit code {exit_code}"
        return f"reproducing: {code}, no test report to judge by"
    if reproduction.problem:
        return f"reproducing: {reproduction.problem}"
    failing = reproduction.failing
    verb = "fails" if len(failing) == 1 else "fail"
    told = f"{tests(len(failing))} {verb}" if failing else "no test fails"
    names = f" ({named(failing)})" if failing else ""
    flaky = f", {tests(len(reproduction.flaky))} flaky" if reproduction.flaky else ""
    return f"reproducing: {told}{names}{flaky}, {reproduction.passed} pass"


def judged(number: int, evidence: Evidence) -> str:
    """The line about a candidate in the log."""
    if evidence.rejected:
        return f"candidate {number} rejected: {' '.join(evidence.why)}"
    why = f": {' '.join(evidence.why)}" if evidence.why else ""
    return f"candidate {number} is {evidence.label}{why}"


def offered(report: CandidateReport) -> str:
    """The summary of a job with a patch."""
    evidence = report.evidence
    label = evidence.label if evidence is not None else Label.UNVERIFIED
    change = f"{files(report.files)}, +{report.insertions} -{report.deletions}"
    why = f" {' '.join(evidence.why)}" if evidence is not None and evidence.why else ""
    told = evidence is not None and label is not Label.UNVERIFIED
    mended = len(evidence.mended) if evidence is not None and told else 0
    passes = f": {tests(mended)} that failed {'passes' if mended == 1 else 'pass'}"
    article = "An" if label is Label.UNVERIFIED else "A"
    return f"{article} {label} patch ({change}){passes if mended else ''}.{why}"


def nothing_offered(candidates: Sequence[CandidateReport]) -> str:
    """The summary of a job that made candidates and offers none."""
    if not candidates:
        return "No candidate was made."
    evidence = candidates[0].evidence
    if len(candidates) == 1 and evidence is not None and evidence.rejected:
        return f"The only candidate was rejected: {' '.join(evidence.why)}"
    if all(not one.sha256 for one in candidates):
        ends = "; ".join(dict.fromkeys(end for one in candidates if (end := _end(one))))
        return f"Nothing was changed that a patch can carry{f' ({ends})' if ends else ''}."
    if len(candidates) == 1:
        return "The only candidate could not be offered; `choice` says why."
    return f"None of {len(candidates)} candidates could be offered; `choice` says why."


def _end(one: CandidateReport) -> str:
    """How it came to its end, where that tells something."""
    return one.message or ("" if one.stopped is StopReason.SUBMITTED else str(one.stopped))


def ended_early(candidates: Sequence[CandidateReport]) -> str:
    """The summary of a job that was cancelled, or whose sandbox was killed."""
    kept = any(one.sha256 for one in candidates)
    what = "what was changed by then is kept" if kept else "nothing had been changed"
    return f"The job was ended before it was through: nothing is offered, {what}."


def files(count: int) -> str:
    """So many files."""
    return f"{count} file" if count == 1 else f"{count} files"


def tests(count: int) -> str:
    """So many tests."""
    return f"{count} test" if count == 1 else f"{count} tests"


def named(ids: Sequence[str]) -> str:
    """The first names of several."""
    shown = ", ".join(test[:_NAME_CHARS] for test in ids[:_NAMED])
    return f"{shown}, …" if len(ids) > _NAMED else shown
