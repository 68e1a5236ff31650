"""A run on a changed tree held against the same run on the base, id by id. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome
from mcp_cloud_agents.worker.fix.trials import BAD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.domain.fix import Reproduction
    from mcp_cloud_agents.domain.result import TestReport
    from mcp_cloud_agents.worker.fix.reproduce import Measured
    from mcp_cloud_agents.worker.fix.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What became of the tests that failed on the base."""

    mended: tuple[str, ...]
    still_failing: tuple[str, ...]
    """Skipped ones as well: they have not passed."""
    missing: tuple[str, ...]
    passed: int
    """Tests that pass now, those that failed before or others."""
    sentence: str


def target_of(reproduction: Reproduction, failures: TestReport, now: Trial) -> Target:
    """Look for each test that failed on the base.

    Args:
        reproduction: the ids that must pass now.
        failures: the report on the base: which of the ids are files that could not be loaded.
        now: the target's run on the changed tree.
    """
    outcomes = now.outcomes
    passed = {test for test, how in outcomes.items() if how is Outcome.PASSED}
    files = {case.id: case.file for case in failures.cases if case.kind is FailureKind.COLLECTION}
    loaded = {
        test for test in reproduction.failing if test in files and _is_loaded(test, files, now)
    }
    mended = tuple(test for test in reproduction.failing if test in passed or test in loaded)
    left = [test for test in reproduction.failing if test not in passed and test not in loaded]
    failing = tuple(test for test in left if test in outcomes)
    skipped = sum(1 for test in failing if outcomes[test] is Outcome.SKIPPED)
    return Target(
        mended=mended,
        still_failing=failing,
        missing=tuple(test for test in left if test not in outcomes),
        passed=len(passed),
        sentence=_sentence(len(mended), len(reproduction.failing), len(passed), skipped),
    )


def _is_loaded(test: str, files: dict[str, str | None], now: Trial) -> bool:
    """Whether a file that could not be loaded now runs tests, and all that run pass or skip."""
    cases = now.report.cases if now.report is not None and now.report.complete else ()
    mine = [
        case.outcome
        for case in cases
        if case.id != test
        and (case.id.startswith(test) or (files[test] is not None and case.file == files[test]))
    ]
    failed_itself = any(case.id == test and case.outcome in BAD for case in cases)
    return Outcome.PASSED in mine and not BAD.intersection(mine) and not failed_itself


def _sentence(mended: int, failing: int, passed: int, skipped: int) -> str:
    if not failing:
        return f"{passed} tests pass, none failed on the base"
    aside = f", {skipped} skipped now" if skipped else ""
    return f"{mended} of {failing} failing tests pass{aside}"


def contradicted(before: Measured, now: Trial) -> str:
    """Why a run's report cannot be true: its command failed, and the report tells of no failure.

    A process of the code under test can rewrite the report, and not how the runner ends. A command
    that did the same on the unchanged tree (a threshold of coverage) is known for it.

    Returns:
        A sentence without its end; empty when the two agree.
    """
    failed = BAD.intersection(now.outcomes.values())
    usual = now.exit_code == before.exit_code and not BAD.intersection(before.outcomes.values())
    if now.stopped is not None or not now.exit_code or failed or usual:
        return ""
    return (
        f"it ended with exit code {now.exit_code}, but its report tells of no failure "
        "(where a coverage threshold does that, pass a test command without it)"
    )


def regressed(before: Measured, now: Trial, *, known: Iterable[str] = ()) -> tuple[str, ...]:
    """Tests that passed on the base and do not now: failed, skipped or gone."""
    outcomes, seen = now.outcomes, set(known)
    return tuple(
        test
        for test in before.outcomes
        if test in before.passed and test not in seen and outcomes.get(test) is not Outcome.PASSED
    )
