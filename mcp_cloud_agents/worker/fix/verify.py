"""Judging one change: the target first, then the suite, each in a fresh checkout; by id alone.

The tree that is judged is made of the patch's bytes, so nothing but the patch can make a test pass:
not what the engine left in its workspace, ignored files, or processes. Protected paths are as in
the snapshot (`collect`). An exit code never counts for a change,
but one that tells of a failure where the report tells of none leaves no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed, InvalidArgument
from mcp_cloud_agents.domain.fix import Evidence, Finding
from mcp_cloud_agents.domain.labels import Judged, label_of
from mcp_cloud_agents.domain.protected import protected
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.result import CauseKind, Outcome, TestReport
from mcp_cloud_agents.runners.selection import narrowed
from mcp_cloud_agents.worker.fix.checkout import Change, DoesNotApply, checkout
from mcp_cloud_agents.worker.fix.compared import contradicted, regressed, target_of
from mcp_cloud_agents.worker.fix.judged_by_written import compared, run_written
from mcp_cloud_agents.worker.fix.lab import Lab, allowed_s
from mcp_cloud_agents.worker.fix.reproduce import run_fresh
from mcp_cloud_agents.worker.fix.trials import Trial, run_tests

if TYPE_CHECKING:
    from mcp_cloud_agents.worker.fix.reproduce import Base, Measured, Written

_RERUNS = 2
_REWRITES, _WHY, _MOST_FOUND = "rewrites_protected", "{}, was changed while the tests ran", 10
_MOST_ALONE = 200
"""So many ids are rerun alone; of more, the whole command is run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a change is worth, and the target's run that says so."""

    evidence: Evidence
    report: TestReport | None = None
    """Of the target."""
    cross: tuple[tuple[str, bool], ...] = ()
    """Written tests, and whether each passes."""
    exit_code: int | None = None
    peak_memory_mib: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What is known of a change before anything runs."""

    change: Change
    protected: Sequence[str] = ()
    """Protected paths that it changed, put back."""
    findings: Sequence[Finding] = ()


def verify(lab: Lab, base: Base, suspect: Suspect) -> Verification:
    """Judge a change.

    Raises:
        Stopped: the job was cancelled, or the sandbox was killed.
        IsolationUnavailable, NoSpace, BackendFailed: nothing could be run.
    """
    return _Verifying(lab, base, suspect).verify()


class _Verifying:
    """The steps, with what they have found so far."""

    def __init__(self, lab: Lab, base: Base, suspect: Suspect) -> None:
        self._lab = lab
        self._base = base
        self._change = suspect.change
        self._cross: tuple[tuple[str, bool], ...] = ()
        self._facts = Judged(
            reproduction=base.reproduction,
            tree=suspect.change.tree,
            protected=tuple(suspect.protected),
            findings=tuple(suspect.findings),
        )

    def verify(self) -> Verification:
        """Target, then suite; the first thing that speaks against the change ends it."""
        try:
            if not self._base.target.command:
                return self._unjudged()
            target, cut = self._run(self._base.target)
        except (DoesNotApply, BackendFailed) as exc:
            why = exc.message if isinstance(exc, BackendFailed) else str(exc)
            unfit = f"The patch does not give the tree it was made of: {why}"
            return Verification(evidence=label_of(replace(self._facts, unfit=unfit)))
        self._judge_target(target, cut=cut)
        if not label_of(self._facts).rejected and not self._facts.problem:
            self._judge_rest(target)
        return Verification(
            evidence=label_of(self._facts),
            report=target.report,
            cross=self._cross,
            exit_code=target.exit_code,
            peak_memory_mib=target.peak_memory_mib,
        )

    def _unjudged(self) -> Verification:
        """There is no test command; that the patch applies is all there is to know."""
        with checkout(self._lab, self._lab.next_folder("judged"), self._change):
            self._fact(problem=self._base.target.problem)
        return Verification(evidence=label_of(self._facts))

    def _judge_target(self, target: Trial, *, cut: bool) -> None:
        base = self._base
        if cut:
            self._fact(problem="the job's time was up")
        elif base.target.problem or self._lab.spec.runner is None:
            self._judge_plain(target)
            return
        told = target_of(base.reproduction, base.failures, target)
        self._fact(
            mended=told.mended,
            still_failing=told.still_failing,
            missing=told.missing,
            passed=told.passed,
        )
        self._ran(f"target `{base.target.command}` in a fresh sandbox: {told.sentence}")
        self._fact(problem=contradicted(base.target, target))
        if target.cut and not told.missing:
            self._fact(suite_problem=f"of the target's run {target.cut}")

    def _judge_plain(self, target: Trial) -> None:
        """An exit code proves nothing, but one that tells of a failure speaks against a change."""
        before, code = self._base.target, target.exit_code
        self._ran(
            f"command `{before.command}` in a fresh sandbox: exit code {code} "
            f"(on the base: {before.exit_code})"
        )
        self._fact(problem=target.problem)
        if code != 0:
            self._fact(unfit=f"`{before.command[:200]}` ends with exit code {code}")

    def _judge_rest(self, target: Trial) -> None:
        """What passed before must pass now: the target's other tests, then the suite's."""
        self._judge_measured("other tests of the target", self._base.target, target)
        suite = self._base.suite
        if suite is not None and not label_of(self._facts).rejected:
            self._judge_suite(suite)
        if self._base.written is not None and not label_of(self._facts).rejected:
            self._judge_by_written(self._base.written)

    def _judge_by_written(self, written: Written) -> None:
        """Tests of other origin: they lower a label, and help to choose between candidates."""
        base = self._base
        now = run_written(self._lab, base.target, written.path, written.content, self._change)
        found = compared(written, now)
        self._fact(written=found)
        self._cross = tuple((test, how is Outcome.PASSED) for test, how in sorted(now.items()))
        self._ran(
            f"{found.passed + len(found.failed)} tests that were written without seeing the "
            f"change: {found.passed} pass, {len(found.failed)} fail"
        )

    def _judge_suite(self, suite: Measured) -> None:
        if suite.problem:
            self._fact(suite_problem=f"on the base {suite.problem}")
            return
        trial, cut = self._run(suite)
        if cut:
            self._fact(suite_problem="the job's time was up")
            return
        self._judge_measured(f"suite `{suite.command}` in a fresh sandbox", suite, trial)
        self._fact(suite_problem=self._facts.suite_problem or contradicted(suite, trial))

    def _judge_measured(self, what: str, before: Measured, now: Trial) -> None:
        suspects = regressed(before, now, known=self._facts.mended)
        if not before.passed:
            return
        lost, flaky = self._rerun(before, suspects)
        held = len(before.passed) - len(lost) - len(flaky)
        again = f"; {len(flaky)} only when run again" if flaky else ""
        self._ran(f"{what}: {held} of {len(before.passed)} that passed before pass{again}")
        self._fact(
            regressions=(*self._facts.regressions, *lost),
            flaky=(*self._facts.flaky, *flaky),
        )

    def _rerun(
        self, before: Measured, suspects: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of tests that passed before and not now: those that never pass, those that do again."""
        left, flaky, skipped = list(suspects), list[str](), 0
        for _ in range(_RERUNS):
            if not left:
                break
            trial = self._alone(before, left)
            passed = {test for test, how in trial.outcomes.items() if how is Outcome.PASSED}
            flaky += [test for test in left if test in passed]
            left = [test for test in left if test not in passed]
            skipped = sum(1 for test in left if trial.outcomes.get(test) is Outcome.SKIPPED)
        if skipped:
            self._ran(f"{skipped} of the tests that passed before: skipped now")
        return tuple(left), tuple(flaky)

    def _alone(self, before: Measured, ids: list[str]) -> Trial:
        """Run these tests alone; where the runner cannot be asked for them, all of them."""
        spec = self._lab.spec
        if len(ids) <= _MOST_ALONE and spec.runner is not None:
            with checkout(self._lab, self._lab.next_folder("alone"), self._change) as tree:
                try:
                    command = narrowed(spec.runner, before.command, ids, tree.names_in(spec.folder))
                except InvalidArgument:
                    command = before.command
                limit = allowed_s(before.duration_s)
                trial = run_tests(self._lab, tree.workspace, command, spec.runner, timeout_s=limit)
            if not trial.problem:
                return trial
        return self._run(before)[0]

    def _run(self, before: Measured) -> tuple[Trial, bool]:
        """Run a command in a fresh checkout; whether the job's own time cut it."""
        limit = allowed_s(before.duration_s)
        fresh = run_fresh(self._lab, before.command, timeout_s=limit, change=self._change)
        self._look_at(fresh.touched - {*before.touched})
        trial = fresh.trial
        return trial, trial.stopped is CauseKind.TIMEOUT and self._lab.left_s() <= 0

    def _look_at(self, touched: frozenset[str]) -> None:
        """Whether the changed code rewrote what judges it, while it was judged."""
        order = self._lab.spec.fix
        allow = order.allow_protected if order is not None else ()
        known = {finding.path for finding in self._facts.findings if finding.rule == _REWRITES}
        found = [
            Finding(rule=_REWRITES, path=render_text(path), line=0, text="", why=_WHY.format(why))
            for path in sorted(touched)
            if (why := protected(path, allow)) and path not in known
        ]
        self._fact(findings=(*self._facts.findings, *found[:_MOST_FOUND]))

    def _ran(self, sentence: str) -> None:
        self._fact(ran=(*self._facts.ran, sentence))

    def _fact(self, **found: object) -> None:
        self._facts = replace(self._facts, **found)
