"""How a job looks in a terminal. All text of the job is printed as text, never as markup."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.lines import line
from mcp_cloud_agents.cli.session import FAILED, NOT_DONE, PASSED
from mcp_cloud_agents.cli.show_fix import show_fix
from mcp_cloud_agents.domain.fix import FixOutcome
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.domain.rendering import change_text, counted
from mcp_cloud_agents.domain.result import VerdictOutcome
from mcp_cloud_agents.domain.sandbox import Enforcement
from mcp_cloud_agents.ports.backend import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.domain.money import Money
    from mcp_cloud_agents.domain.result import Cause, JobResult, Verdict

_COLOURS = {"passed": "green", "failed": "red", "incomplete": "yellow", "none": "yellow"}
_MOST_FAILURES = 50
_MESSAGE_CHARS = 300


def show_job(view: JobView) -> int:
    """Print what is known of a job; returns the exit code that says how it went."""
    result, cause = view.result, view.status.cause
    line("job", f"{view.spec.id}  {view.spec.command}")
    if view.backend != LOCAL:
        line("ran on", view.backend)
    _show_tree(view.spec.snapshot)
    verdict = result.verdict if result is not None else None
    if verdict is not None:
        _show_verdict(verdict)
    if result is not None and result.fix is not None:
        show_fix(result.fix)
    if verdict is None or cause is not None:
        line("state", f"{view.status.state}: {_said(view)}", "red" if cause is not None else "")
    if view.question is not None and not view.status.state.done:
        line("next", f"mcp-cloud-agents approve {view.spec.id}, or deny {view.spec.id}")
    line("cost", _cost(view.money))
    if cause is not None:
        _show_cause(cause)
    if result is not None:
        _show_result(result, view)
    for note in (*view.spec.passed_over, view.note):
        line("note", note, "yellow")
    return exit_code(view)


def exit_code(view: JobView) -> int:
    """0 passed, the command's own code for plain commands, 1 failed, 3 when it is not done."""
    if not view.status.state.done:
        return NOT_DONE
    if view.status.state is not JobState.SUCCEEDED or view.result is None:
        return FAILED
    if view.result.fix is not None:
        return PASSED if view.result.fix.outcome is FixOutcome.PATCH else FAILED
    if view.result.verdict is not None:
        return PASSED if view.result.verdict.outcome is VerdictOutcome.PASSED else FAILED
    return view.result.exit_code or PASSED


def _said(view: JobView) -> str:
    if view.status.cause is not None:
        return view.status.cause.message
    if view.result is not None and view.result.fix is not None:
        return view.result.fix.summary
    if view.result is not None:
        return f"the command ended with exit code {view.result.exit_code}"
    if view.question is not None:
        return f"it waits for a person: {view.question.rule}: {view.question.reason}"
    return "it goes on"


def _cost(money: Money | None) -> str:
    """Nothing for what is free, as most jobs on this machine are."""
    if money is None or not (money.estimate.worst_micros or money.actual_micros):
        return ""
    most = f"at most {usd(money.estimate.worst_micros)} USD"
    if money.actual_micros is not None:
        return f"{usd(money.actual_micros)} USD ({most})"
    return f"{most}, probably {usd(money.estimate.expected_micros)} USD"


def _show_tree(snapshot: Snapshot) -> None:
    origin = snapshot.origin
    base = f"on {origin.base_commit[:12]}" if origin.base_commit else "no commit yet"
    state = "with changes" if origin.dirty else "clean"
    sent = f"{counted(snapshot.files, 'file')}, {counted(snapshot.sent_bytes, 'byte')} sent"
    line("tree", f"{snapshot.tree[:12]} ({state}, {base}), {sent}")
    for warning in snapshot.warnings:
        line("", warning, "yellow")


def _show_verdict(verdict: Verdict) -> None:
    outcome = str(verdict.outcome)
    line("verdict", f"{outcome}: {verdict.summary}", _COLOURS[outcome])
    for failure in verdict.failures[:_MOST_FAILURES]:
        test = failure.test
        at = f"  {test.file}:{test.line}" if test.file and test.line else f"  {test.file or ''}"
        same = f"  and {failure.same - 1} more with this message" if failure.same > 1 else ""
        line("failed", f"{test.id}{at.rstrip()}{same}", "red")
        line("", test.message[:_MESSAGE_CHARS], "dim")
    if len(verdict.failures) > _MOST_FAILURES:
        line("", f"and {len(verdict.failures) - _MOST_FAILURES} more: see junit.xml")


def _show_cause(cause: Cause) -> None:
    for row in cause.excerpt:
        line("", row, "dim")
    line("next", cause.hint)


def _show_result(result: JobResult, view: JobView) -> None:
    record, took = result.isolation, result.timings
    line("isolation", f"{record.level} ({record.driver}), network {record.run_network}")
    line("limits", limits_text(record.limits))
    line("time", f"set-up {took.setup_s:.1f} s ({result.environment}), run {took.run_s:.1f} s")
    for artifact in result.artifacts:
        line("file", f"{_where(view, artifact.name)}  {artifact.size_bytes} bytes")
    if result.patch is not None:
        patch = result.patch
        change = change_text(patch.files, patch.insertions, patch.deletions)
        line("patch", f"{change}; apply it with: mcp-cloud-agents apply {view.spec.id}")
        for path, reason in result.patch.refused:
            line("", f"left out: {path} ({reason})", "yellow")
        for path in result.patch.sensitive:
            line("", f"look at it first, tools obey it: {path}", "yellow")
    for note in (*record.notes, *result.notes):
        line("note", note, "yellow")


def limits_text(limits: Iterable[tuple[str, Enforcement]]) -> str:
    """Which limits are held how, e.g. `hard: processes, log; polled: disk`."""
    by_how = {how: [name for name, held in limits if held is how] for how in Enforcement}
    told = (f"{how}: {', '.join(names)}" for how, names in by_how.items() if names)
    return "; ".join(told).replace("_", " ")


def _where(view: JobView, name: str) -> str:
    """The file itself where it is on this machine, else the command that prints it."""
    if view.backend != LOCAL:
        return f"mcp-cloud-agents artifact {view.spec.id} {name}"
    from mcp_cloud_agents.settings import load
    from mcp_cloud_agents.storage.state_folder import StateFolder

    return os.path.join(StateFolder(load().state_dir).jobs, view.spec.id, "artifacts", name)
