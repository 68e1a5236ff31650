"""How a job ends that could not do its work, in words a person or a model can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import Cause, CauseKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.result import Verdict


def _timed_out(spec: JobSpec, tail: tuple[str, ...]) -> Cause:
    return Cause(
        kind=CauseKind.TIMEOUT,
        message=f"The run was ended after its limit of {spec.limits.timeout_s} s.",
        hint="The end of the log shows where it stood; pass a larger timeout_minutes, or run "
        "fewer tests.",
        excerpt=tail,
    )


def _out_of_memory(spec: JobSpec, tail: tuple[str, ...]) -> Cause:
    return Cause(
        kind=CauseKind.OOM,
        message=f"The run used more than its {spec.limits.memory_mib} MiB of memory.",
        hint="Run fewer tests at once, or let a person raise limits.memory_mib in the settings.",
        excerpt=tail,
    )


def _disk(spec: JobSpec, tail: tuple[str, ...]) -> Cause:
    return Cause(
        kind=CauseKind.DISK,
        message=f"The run wrote more than its {spec.limits.disk_mib} MiB to disk.",
        hint="Look for what it writes (read_log), or let a person raise limits.disk_mib.",
        excerpt=tail,
    )


def _cancelled(spec: JobSpec, tail: tuple[str, ...]) -> Cause:
    del spec
    return Cause(
        kind=CauseKind.CANCELLED,
        message="The job was cancelled while it ran.",
        hint="Submit it again when it is wanted; the log so far is kept.",
        excerpt=tail,
    )


ENDED_EARLY: Mapping[CauseKind, Callable[[JobSpec, tuple[str, ...]], Cause]] = {
    CauseKind.TIMEOUT: _timed_out,
    CauseKind.OOM: _out_of_memory,
    CauseKind.DISK: _disk,
    CauseKind.CANCELLED: _cancelled,
}


def past_deadline(doing: str, tail: tuple[str, ...] = ()) -> Cause:
    """The time for the whole job is over.

    Args:
        doing: where it stood, as in "while it ran".
        tail: the end of its output.
    """
    return Cause(
        kind=CauseKind.DEADLINE,
        message=f"The time for the whole job was over {doing}.",
        hint="Submit it again; when it waited long, look what else runs (list_jobs), or cancel "
        "what is not wanted any more.",
        excerpt=tail,
    )


def timed(cause: Cause, doing: str, *, within_s: float, limit_s: float) -> Cause:
    """The cause of a hop that ran out of time: its own limit, or what was left of the job's."""
    cut = cause.kind is CauseKind.TIMEOUT and within_s < limit_s
    return past_deadline(doing, cause.excerpt) if cut else cause


def stopped_in_restore(kind: CauseKind, spec: JobSpec) -> Cause:
    """The tree was not yet there; nothing of the job has run."""
    said = {
        CauseKind.CANCELLED: (
            "The job was cancelled while its tree was restored.",
            "Submit it again when it is wanted.",
        ),
        CauseKind.TIMEOUT: (
            f"The tree was not restored within {spec.limits.setup_timeout_s} s.",
            "Look at this machine's load and disk, or let a person raise "
            "limits.setup_timeout_minutes in the settings.",
        ),
        CauseKind.OOM: ("Git ran out of memory while the tree was restored.", _SIZE),
        CauseKind.DISK: ("The tree that was restored is too large for the job's disk.", _SIZE),
    }
    message, hint = said[kind]
    return Cause(kind=kind, message=message, hint=hint)


_SIZE = "Look for very large files in the tree, and leave them out by .gitignore."


def cancelled_in_collect(tail: tuple[str, ...]) -> Cause:
    """The command had ended; what it left was not all kept."""
    return Cause(
        kind=CauseKind.CANCELLED,
        message="The job was cancelled while its results were collected.",
        hint="What was collected by then is kept, and the log; submit it again for the rest.",
        excerpt=tail,
    )


def never_started(tail: tuple[str, ...]) -> Cause:
    """The sandbox itself failed; the command was not run."""
    return Cause(
        kind=CauseKind.SANDBOX_START,
        message="The sandbox did not start, so the command was not run.",
        hint="Run `mcp-cloud-agents doctor`: it starts a sandbox and names the remedy.",
        excerpt=tail,
    )


def sandbox_died(tail: tuple[str, ...]) -> Cause:
    """Somebody else killed the sandbox; what the command did until then is in the log."""
    return Cause(
        kind=CauseKind.SANDBOX_DIED,
        message="The sandbox was killed from outside while the command ran.",
        hint="Look for what kills processes on this machine (the kernel's log, if memory ran out "
        "there); then submit the work again.",
        excerpt=tail,
    )


def no_report(verdict: Verdict, exit_code: int, tail: tuple[str, ...]) -> Cause:
    """The command ended, but no test was reported: never a pass, whatever the exit code."""
    return Cause(
        kind=CauseKind.NO_REPORT,
        message=f"{verdict.summary} (exit code {exit_code})",
        hint="Check the command and what it selects; for a command without a test report use "
        "run_in_sandbox.",
        excerpt=tail,
    )
