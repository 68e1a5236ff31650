"""Reports and trials made by hand, for what is judged without a sandbox."""

from __future__ import annotations

from mcp_cloud_agents.domain.fix import Reproduction
from mcp_cloud_agents.domain.result import (
    CauseKind,
    FailureKind,
    Outcome,
    TestCase,
    TestReport,
)
from mcp_cloud_agents.worker.fix.reproduce import Measured
from mcp_cloud_agents.worker.fix.trials import Trial

OUTCOMES = {
    ".": Outcome.PASSED,
    "F": Outcome.FAILED,
    "E": Outcome.ERROR,
    "s": Outcome.SKIPPED,
    "C": Outcome.ERROR,
}


def report(told: str, *, complete: bool = True, unfinished: tuple[str, ...] = ()) -> TestReport:
    """A report from words such as `a. bF cs`: name and outcome; C is a file that did not load."""
    cases = tuple(
        TestCase(
            id=word[:-1],
            outcome=OUTCOMES[word[-1]],
            file=word[:-1].split("::")[0],
            kind=FailureKind.COLLECTION if word[-1] == "C" else None,
        )
        for word in told.split()
    )
    return TestReport(cases=cases, complete=complete, unfinished=unfinished)


def trial(
    told: str | None,
    *,
    exit_code: int | None = 0,
    stopped: CauseKind | None = None,
    complete: bool = True,
    unfinished: tuple[str, ...] = (),
) -> Trial:
    """A run with this report; None: one that leaves none."""
    found = None if told is None else report(told, complete=complete, unfinished=unfinished)
    return Trial(report=found, exit_code=exit_code, stopped=stopped, duration_s=1.0)


def measured(told: str, *, exit_code: int = 0) -> Measured:
    """A command on the base."""
    run = trial(told)
    return Measured(
        command="run",
        outcomes=run.outcomes,
        durations=run.durations,
        duration_s=run.duration_s,
        exit_code=exit_code,
    )


def failing(*ids: str) -> Reproduction:
    """What failed on the base."""
    return Reproduction(failing=ids, runs=2)
