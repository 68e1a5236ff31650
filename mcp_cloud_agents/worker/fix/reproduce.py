"""Before anything is changed: does the target fail, does it fail each time, and what passes?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import Reproduction
from mcp_cloud_agents.domain.result import Outcome, TestReport
from mcp_cloud_agents.worker.fix.checkout import Change, checkout
from mcp_cloud_agents.worker.fix.lab import allowed_s
from mcp_cloud_agents.worker.fix.trials import BAD, Trial, run_tests
from mcp_cloud_agents.worker.places import ReportFolder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.worker.fix.lab import Lab

_MOST_IDS = 1_000
_MOST_FILES, _FILE_BYTES = 20, 256 << 10
_SHARE = 4
"""The first run may take so many parts of the job's time: the same is needed to judge a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A test command on the unchanged tree."""

    command: str
    outcomes: dict[str, Outcome]
    durations: dict[str, float]
    duration_s: float
    """Of the whole run."""
    problem: str = ""
    """Why it tells nothing."""
    exit_code: int | None = None
    touched: tuple[str, ...] = ()
    """Paths of the tree that the run itself changed."""

    @property
    def passed(self) -> frozenset[str]:
        """Ids that passed."""
        return frozenset(
            test for test, outcome in self.outcomes.items() if outcome is Outcome.PASSED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file of tests by a model that saw no change."""

    path: str
    """Where it stands in the tree."""
    content: str
    outcomes: dict[str, Outcome]
    """Of its tests on the unchanged tree, where they may well fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """All that is known of the unchanged tree."""

    reproduction: Reproduction
    target: Measured
    suite: Measured | None
    """None: the target is all there is."""
    failures: TestReport
    """Of the target."""
    tests: dict[str, str]
    """Sources of the failing tests by their paths."""
    written: Written | None = None
    """Tests that a model wrote, and how they end on the unchanged tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A run in a fresh checkout."""

    trial: Trial
    touched: frozenset[str]
    """Paths of the tree that it changed."""


def reproduce(lab: Lab) -> tuple[Reproduction, Fresh | None]:
    """Run the target twice, each time in a fresh checkout of the unchanged tree.

    Returns:
        What came of it, and the first run; None when there is no target.
    """
    if not lab.spec.command:
        return Reproduction(problem="there is no test command"), None
    first = run_fresh(lab, lab.spec.command, timeout_s=lab.left_s() / _SHARE)
    if first.trial.problem:
        return Reproduction(problem=first.trial.problem, runs=1), first
    second = run_fresh(lab, lab.spec.command, timeout_s=allowed_s(first.trial.duration_s))
    return compared(first.trial, second.trial), first


def compared(first: Trial, second: Trial) -> Reproduction:
    """What two runs of the same tests on the same tree tell together. Pure."""
    if second.problem:
        return Reproduction(problem=second.problem, runs=2)
    bad = [{test for test, how in run.outcomes.items() if how in BAD} for run in (first, second)]
    passed = [
        {test for test, how in run.outcomes.items() if how is Outcome.PASSED}
        for run in (first, second)
    ]
    return Reproduction(
        failing=_in_order(bad[0] & bad[1], first),
        flaky=_in_order(bad[0] ^ bad[1], first, second),
        passed=len(passed[0] & passed[1]),
        runs=2,
    )


def baseline(lab: Lab, untouched: str, reproduction: Reproduction, first: Fresh) -> Base:
    """The suite once on the unchanged tree, where it is another command than the target.

    Args:
        lab: what to work with.
        untouched: host folder of the restored snapshot, in which nothing ran.
        reproduction: what came of the target.
        first: the target's first run.
    """
    spec, order, suite = lab.spec, lab.spec.fix, None
    if spec.runner and order is not None and order.suite not in ("", spec.command):
        suite = measured(order.suite, run_fresh(lab, order.suite, timeout_s=lab.left_s() / _SHARE))
    return Base(
        reproduction=reproduction,
        target=measured(lab.spec.command, first),
        suite=suite,
        failures=first.trial.report or TestReport(),
        tests=_sources(untouched, first.trial),
    )


def _sources(untouched: str, first: Trial) -> dict[str, str]:
    """The files of the failing tests, as they are in the snapshot."""
    cases = first.report.cases if first.report is not None else ()
    return files_of(untouched, dict.fromkeys(c.file for c in cases if c.outcome in BAD and c.file))


def files_of(untouched: str, paths: Iterable[str]) -> dict[str, str]:
    """The text of some files of the snapshot, of the first twenty, of each the first part.

    Args:
        untouched: host folder of the restored snapshot.
        paths: what to read; what is no regular file is left out.
    """
    found = dict[str, str]()
    root = os.open(untouched, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for path in islice(paths, _MOST_FILES):
            data = ReportFolder(root).read(path, _FILE_BYTES)
            if data is not None:
                found[path] = data.decode("utf-8", "replace")
    finally:
        os.close(root)
    return found


def without_target(reproduction: Reproduction) -> Base:
    """What is known where there is no test command: nothing."""
    nothing = Measured(
        command="", outcomes={}, durations={}, duration_s=0.0, problem=reproduction.problem
    )
    return Base(
        reproduction=reproduction, target=nothing, suite=None, failures=TestReport(), tests={}
    )


def measured(command: str, fresh: Fresh) -> Measured:
    """What has to be known of a run on the base to judge a later one."""
    trial = fresh.trial
    return Measured(
        command=command,
        outcomes=trial.outcomes,
        durations=trial.durations,
        duration_s=round(trial.duration_s, 3),
        problem=trial.problem,
        exit_code=trial.exit_code,
        touched=tuple(sorted(fresh.touched)),
    )


def run_fresh(lab: Lab, command: str, *, timeout_s: float, change: Change | None = None) -> Fresh:
    """Run a test command in a fresh checkout of the unchanged tree, or of a changed one.

    Raises:
        DoesNotApply: the change does not give its tree.
        Stopped: the job was cancelled, or its time is up.
        IsolationUnavailable, NoSpace, BackendFailed: nothing could be run.
    """
    with checkout(lab, lab.next_folder("fresh"), change) as tree:
        trial = run_tests(lab, tree.workspace, command, lab.spec.runner, timeout_s=timeout_s)
        return Fresh(trial=trial, touched=tree.touched())


def _in_order(ids: set[str], *runs: Trial) -> tuple[str, ...]:
    told = dict.fromkeys(test for run in runs for test in run.outcomes)
    return tuple(test for test in told if test in ids)[:_MOST_IDS]
