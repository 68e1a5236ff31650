"""One run of a test command on one tree: its report by id, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.causes import explain
from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.result import CauseKind, Outcome, TestReport, Verdict
from mcp_cloud_agents.domain.verdict import judge
from mcp_cloud_agents.storage.trees import remove_tree
from mcp_cloud_agents.worker.fix.lab import Stopped
from mcp_cloud_agents.worker.task import Task

if TYPE_CHECKING:
    from mcp_cloud_agents.worker.fix.lab import Lab
    from mcp_cloud_agents.worker.run import Ran

BAD = frozenset({Outcome.FAILED, Outcome.ERROR})
_LEAST_S, _LAST_CHARS = 1, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a run told."""

    report: TestReport | None
    """None for a command whose tests leave no report."""
    exit_code: int | None
    stopped: CauseKind | None
    """TIMEOUT, OOM or DISK when a limit ended it."""
    duration_s: float
    peak_memory_mib: int = 0
    said: str = ""
    """Why it did no work at all, as far as its output tells."""
    last: str = ""
    """The last line it printed that tells of an error, else the last one; rendered."""

    @property
    def verdict(self) -> Verdict | None:
        """The judgement over it."""
        return None if self.report is None else judge(self.report, exit_code=self.exit_code)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """How each test ended; one that started and never ended is an error."""
        if self.report is None:
            return {}
        lost = dict.fromkeys(self.report.unfinished, Outcome.ERROR)
        return lost | {case.id: case.outcome for case in self.report.cases}

    @property
    def durations(self) -> dict[str, float]:
        """Seconds of each test."""
        cases = self.report.cases if self.report is not None else ()
        return {case.id: case.duration_s for case in cases}

    @property
    def problem(self) -> str:
        """Why it tells nothing at all; empty when tests are in its report."""
        if self.outcomes:
            return ""
        if self.stopped is not None:
            return _ENDED[self.stopped]
        if self.said:
            return self.said
        if self.report is None:
            return f"the command leaves no test report; it ended with exit code {self.exit_code}"
        last = f"; its output says: {self.last}" if self.last else ""
        return f"{self.report.problem or 'no test ran'} (exit code {self.exit_code}){last}"

    @property
    def cut(self) -> str:
        """Why it may tell less than all; empty when its report is whole."""
        if self.stopped is not None:
            return _ENDED[self.stopped]
        if self.report is None or self.report.complete:
            return ""
        return self.report.problem or "the run ended before its report was closed"


_ENDED = {
    CauseKind.TIMEOUT: "it was ended at its time limit",
    CauseKind.OOM: "it was ended for the memory it used",
    CauseKind.DISK: "it was ended for what it wrote to disk",
}


def run_tests(
    lab: Lab, workspace: str, command: str, runner: str | None, *, timeout_s: float
) -> Trial:
    """Run a test command on a workspace; its report goes to a folder that only this run gets.

    Args:
        lab: what to work with.
        workspace: host folder of the tree.
        command: as a person would type it.
        runner: whose report to read; None: there is none.
        timeout_s: for the whole run, within the lab's own time.

    Raises:
        Stopped: the job was cancelled, or the sandbox was killed.
        IsolationUnavailable: the sandbox did not start.
    """
    lab.check()
    limit = max(_LEAST_S, round(min(timeout_s, lab.left_s())))
    limits = replace(lab.spec.limits, timeout_s=limit)
    spec = replace(lab.spec, command=command, runner=runner, limits=limits)
    folder = lab.next_folder("run")
    places = replace(lab.places, job=folder)
    task = Task(spec, places, lab.desk, workspace=workspace, exposure=lab.exposure)
    try:
        ran = task.run(lab.sandbox, lab.env)
        _check(ran, task)
        return Trial(
            report=task.report(),
            exit_code=ran.exit_code,
            stopped=ran.stopped,
            duration_s=ran.duration_s,
            peak_memory_mib=ran.peak_memory_mib,
            said=_said(task, ran, command),
            last=_last(task.tail()),
        )
    finally:
        task.close()
        remove_tree(folder)


def _check(ran: Ran, task: Task) -> None:
    if ran.stopped is CauseKind.CANCELLED:
        raise Stopped(CauseKind.CANCELLED)
    if ran.exit_code is None and ran.stopped is None:
        if ran.died:
            raise Stopped(CauseKind.SANDBOX_DIED)
        raise did_not_start("\n".join(task.tail()))


def did_not_start(said: str) -> IsolationUnavailable:
    """The error for a sandbox that said this and ran nothing."""
    return IsolationUnavailable(
        f"The sandbox did not start: {' '.join(render_text(said).split())[:300]}",
        hint="Run `mcp-cloud-agents doctor`.",
    )


def _last(lines: tuple[str, ...]) -> str:
    """The last line that tells of an error, else the last one."""
    telling = (line for line in reversed(lines) if "error" in line.casefold())
    return next(telling, "".join(lines[-1:])).strip()[:_LAST_CHARS]


def _said(task: Task, ran: Ran, command: str) -> str:
    cause = explain(task.head(), ran.exit_code, command)
    return cause.message if cause is not None else ""
