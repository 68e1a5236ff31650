"""From what is known of a job to the answer a model or a person reads, within 8,000 characters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mcp.types import ResourceLink

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.verdict import compact
from mcp_cloud_agents.server.answers import (
    MAX_CHARS,
    ArtifactView,
    IsolationView,
    JobAnswer,
    LogView,
    PatchView,
    Problem,
    TreeView,
)
from mcp_cloud_agents.server.fix_views import evidence_of, fix_view, next_of_fix
from mcp_cloud_agents.server.money_views import (
    approval_of,
    cost_of,
    next_of_question,
    summary_of_question,
)
from mcp_cloud_agents.server.room import cut, fit, over

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.domain.patch import Patch
    from mcp_cloud_agents.domain.result import Artifact, Cause, JobResult
    from mcp_cloud_agents.domain.sandbox import IsolationRecord
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.approvals import Question

_TESTS_CHARS, _TESTS_OF_FIX_CHARS = 4_500, 1_500
_TAIL_CHARS = 2_500


def job_answer(view: JobView) -> JobAnswer:
    """The result envelope of a job."""
    spec, status, result = view.spec, view.status, view.result
    bad = status.state.done and status.state is not JobState.SUCCEEDED
    answer = JobAnswer(
        ok=not bad,
        job_id=spec.id,
        agent=spec.agent,
        backend=view.backend,
        state=status.state,
        done=status.state.done,
        alive_s_ago=_alive_s_ago(status),
        command=cut(spec.command, 300),
        summary=f"{view.note} {summary_of(view)}".strip(),
        next=_next_of(view),
        cost=None if view.money is None else cost_of(view.money),
        approval=None if view.question is None else approval_of(view.question),
        tree=_tree_of(spec.snapshot),
        error=_problem_of(status.cause, status.state) if bad else None,
    )
    if result is not None:
        _add_result(answer, result)
    if told := [text for text in (view.note, *spec.passed_over) if text]:
        answer.notes = [*(cut(text, 300) for text in told), *(answer.notes or [])]
    fit(answer)
    _refit_tests(answer, view)
    return _with_tail(answer, view)


def _alive_s_ago(status: JobStatus) -> float | None:
    if status.state.done or status.heartbeat_at is None:
        return None
    return round(max(0.0, time.time() - status.heartbeat_at), 1)


def links_of(view: JobView) -> list[ResourceLink]:
    """Links to what can be read about the job."""
    job = f"job://{view.spec.id}"
    links = [_link(f"{job}/log", "log", "text/plain", "Log of the job")]
    result = view.result
    if result is not None and result.verdict is not None:
        links.append(_link(f"{job}/tests", "tests", "application/json", "Verdict, every failure"))
    if result is not None and result.patch is not None:
        links.append(_link(f"{job}/patch", "patch", "text/x-diff", "What the job changed"))
    return links


def summary_of(view: JobView) -> str:
    """One sentence on where the job is."""
    status, result = view.status, view.result
    if result is not None and result.fix is not None:
        return cut(result.fix.summary, 500)
    if result is not None and result.verdict is not None:
        return cut(result.verdict.summary, 500)
    if status.cause is not None:
        return cut(status.cause.message, 500)
    if result is not None:
        return f"The command ended with exit code {result.exit_code}."
    if status.progress is not None:
        total = f" of {status.progress.total}" if status.progress.total else ""
        return (
            f"{status.state.capitalize()}: {status.progress.done}{total} tests done, "
            f"{status.progress.failed} failed so far."
        )
    if view.question is not None and not status.state.done:
        return summary_of_question(view.question)
    if status.waiting:
        return cut(f"The job is {status.state}: {status.waiting}", 700)
    return f"The job is {status.state}."


def _next_of(view: JobView) -> str:
    job = view.spec.id
    if view.question is not None:
        return _next_of_asked(view, view.question)
    if not view.status.state.done:
        return f'Call wait_job(job_id="{job}", timeout_s=50) until done is true.'
    if view.result is None or view.status.state is not JobState.SUCCEEDED:
        return f'read_log(job_id="{job}") has the details; see error.hint for the way out.'
    if view.result.fix is not None:
        return next_of_fix(job, view.result.fix)
    if view.result.verdict is not None and view.result.verdict.failures:
        return f'Mend the failures, then run again; read_log(job_id="{job}", search=…) for more.'
    if view.result.patch is not None:
        return f'See what it would change: apply_patch(job_id="{job}", mode="check").'
    return "Nothing more to do for this job."


def _next_of_asked(view: JobView, question: Question) -> str:
    if not view.status.state.done:
        return next_of_question(question)
    hint = view.status.cause.hint if view.status.cause is not None else ""
    return cut(hint, 500)


def _tree_of(snapshot: Snapshot) -> TreeView:
    return TreeView(
        tree=snapshot.tree,
        base_commit=snapshot.origin.base_commit,
        branch=None if snapshot.origin.branch is None else cut(snapshot.origin.branch, 200),
        dirty=snapshot.origin.dirty,
        files=snapshot.files,
        sent_bytes=snapshot.sent_bytes,
        warnings=[cut(warning, 200) for warning in snapshot.warnings],
    )


def _problem_of(cause: Cause | None, state: JobState) -> Problem:
    if cause is None:
        return Problem(code=state, message=f"The job is {state}.", hint="Submit it again.")
    code = "cancelled" if cause.kind is CauseKind.CANCELLED else str(cause.kind)
    return Problem(
        code=code,
        message=cut(cause.message, 500),
        hint=cut(cause.hint, 500),
        excerpt=[cut(line, 160) for line in cause.excerpt] or None,
    )


def _add_result(answer: JobAnswer, result: JobResult) -> None:
    answer.exit_code = result.exit_code
    answer.environment = result.environment
    answer.isolation = _isolation_of(result.isolation)
    answer.timings_s = {
        "queued": round(result.timings.queued_s, 3),
        "restore": round(result.timings.restore_s, 3),
        "setup": round(result.timings.setup_s, 3),
        "run": round(result.timings.run_s, 3),
        "collect": round(result.timings.collect_s, 3),
    }
    answer.notes = [cut(note, 300) for note in result.notes] or None
    answer.artifacts = [_artifact_of(answer.job_id or "", item) for item in result.artifacts]
    if result.patch is not None:
        answer.patch = _patch_of(answer.job_id or "", result, result.patch)
    if result.fix is not None:
        answer.fix = fix_view(result.fix)
    if result.verdict is not None:
        answer.verdict = result.verdict.outcome
        answer.tests = compact(result.verdict, _tests_chars(result))


def _refit_tests(answer: JobAnswer, view: JobView) -> None:
    """The verdict gives way last: only when everything else is as short as it can be."""
    too_much = over(answer)
    if too_much > 0 and view.result is not None and view.result.verdict is not None:
        answer.tests = compact(view.result.verdict, _tests_chars(view.result) - too_much)


def _tests_chars(result: JobResult) -> int:
    return _TESTS_CHARS if result.fix is None else _TESTS_OF_FIX_CHARS


def _isolation_of(record: IsolationRecord) -> IsolationView:
    return IsolationView(
        level=record.level,
        driver=cut(record.driver, 100),
        run_network=record.run_network,
        setup_network=record.setup_network,
        limits={name: str(how) for name, how in record.limits},
        notes=[cut(note, 300) for note in record.notes],
    )


def _patch_of(job_id: str, result: JobResult, patch: Patch) -> PatchView:
    return PatchView(
        uri=f"job://{job_id}/patch",
        sha256=patch.sha256,
        base=patch.base_commit,
        files=patch.files,
        insertions=patch.insertions,
        deletions=patch.deletions,
        evidence=evidence_of(result.fix),
        paths=[cut(path, 120) for path in patch.paths],
        refused=[f"{cut(path, 80)}: {cut(reason, 80)}" for path, reason in patch.refused],
        sensitive=[cut(path, 80) for path in patch.sensitive],
    )


def _artifact_of(job_id: str, artifact: Artifact) -> ArtifactView:
    return ArtifactView(
        name=artifact.name,
        uri=f"job://{job_id}/artifacts/{artifact.name}",
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        sha256=artifact.sha256,
    )


def _with_tail(answer: JobAnswer, view: JobView) -> JobAnswer:
    """Fill what room is left with the end of the log, whole lines where possible."""
    text = render(view.tail.data)
    log = LogView(cursor=view.tail.next_offset, size=view.tail.size, tail="")
    answer.log = log
    keep = _TAIL_CHARS
    while keep > 0:
        log.tail = _last(text, keep)
        over = len(answer.model_dump_json(exclude_none=True)) - MAX_CHARS
        if over <= 0:
            return answer
        keep = min(keep, len(log.tail)) - max(over // 2, 64)
    log.tail = ""
    return answer


def _last(text: str, chars: int) -> str:
    if len(text) <= chars:
        return text
    cut = text[-chars:]
    whole = cut.find("\n") + 1
    return cut[whole:] if whole < len(cut) else cut


def _link(uri: str, name: str, mime: str, description: str) -> ResourceLink:
    return ResourceLink(
        type="resource_link", uri=uri, name=name, mime_type=mime, description=description
    )
