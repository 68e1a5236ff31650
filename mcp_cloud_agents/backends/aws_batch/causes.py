"""Why a job ended in Batch without a word of its worker, read from the texts of Batch and ECS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.storage.job_objects import TRY_AGAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.backends.aws_batch.seen import Seen

CANCELLED_BY_US = "mcp-cloud-agents: cancelled"
DUPLICATE = "mcp-cloud-agents: submitted twice"
_AGAIN = "Submit the work again: same arguments, fresh=true."
_MAX_EXCERPT = 20


@dataclass(frozen=True, slots=True)
class _Sign:
    """A text that tells; `{0}` in the message is what stands there."""

    pattern: re.Pattern[str]
    state: JobState
    kind: CauseKind
    message: str
    hint: str


_SIGNS = (
    _Sign(
        re.compile(re.escape(CANCELLED_BY_US)),
        JobState.CANCELLED,
        CauseKind.CANCELLED,
        "The job was cancelled.",
        "Submit it again when it is wanted.",
    ),
    _Sign(
        re.compile(r"(?i)job attempt duration exceeded timeout"),
        JobState.TIMED_OUT,
        CauseKind.TIMEOUT,
        "AWS Batch ended the job: set-up, run and collection took longer than their limits.",
        "The end of the log shows where it stood; pass a larger timeout_minutes, or run less.",
    ),
    _Sign(
        re.compile(r"(?i)Dependent Job failed|Array Child Job failed"),
        JobState.FAILED,
        CauseKind.DEPENDENCY,
        "A job that this one depends on failed: {0}.",
        "Look at that job first.",
    ),
    _Sign(
        re.compile(r"CannotPull\w*Error|ImageNotFound|(?i:pull image manifest)"),
        JobState.FAILED,
        CauseKind.IMAGE_PULL,
        "The worker's image could not be pulled: {0}.",
        "Push the image (docs/aws.md, The image), and check the network profile: without internet "
        "the VPC needs the endpoints of ECR and S3. mcp-cloud-agents doctor looks.",
    ),
    _Sign(
        re.compile(r"ResourceInitializationError|CannotStartContainer\w*|CannotCreateContainer\w*"),
        JobState.FAILED,
        CauseKind.RESOURCE_INITIALIZATION,
        "AWS could not prepare the container: {0}.",
        "Most often the subnet does not reach ECR, Logs or Secrets Manager, or the execution role "
        "lacks a permission; docs/aws.md says what each profile needs.",
    ),
    _Sign(
        re.compile(r"OutOfMemory|(?i:killed due to memory)"),
        JobState.FAILED,
        CauseKind.OOM,
        "The container used more memory than it had, worker included: {0}.",
        "Raise limits.memory_mib, or run fewer tests at once.",
    ),
    _Sign(
        re.compile(r"(?i)Your Spot Task|SpotInterruption|Spot interruption"),
        JobState.FAILED,
        CauseKind.SPOT_RECLAIMED,
        "AWS took the Spot capacity back, in the last attempt as well: {0}.",
        f"Set aws.queue to fargate, or raise aws.attempts. {_AGAIN}",
    ),
    _Sign(
        re.compile(r"Host EC2"),
        JobState.FAILED,
        CauseKind.HOST_LOST,
        "The machine under the job went away, in the last attempt as well: {0}.",
        _AGAIN,
    ),
    _Sign(
        re.compile(r"(?:CAPACITY|MISCONFIGURATION):\w+"),
        JobState.FAILED,
        CauseKind.NOT_PLACED,
        "The queue gave up waiting for a machine: {0}.",
        "Choose another queue or a smaller size, or raise max_vcpus or the account's quota.",
    ),
)


def cause_of(
    job: Seen, *, cancel_asked: bool, strays: Sequence[str] = ()
) -> tuple[JobState, Cause | None]:
    """The state and cause of a job that ended in Batch and left no result.

    Args:
        job: as Batch tells it, in a final state.
        cancel_asked: whether somebody asked it to end.
        strays: last lines of its log stream that are not the job's own output.
    """
    texts = _texts(job)
    signs = ((sign, found) for text in texts for sign in _SIGNS if (found := _find(sign, text)))
    sign, told = next(signs, (None, ""))
    if sign is None and (cancel_asked or job.terminated):
        sign, told = (_SIGNS[0], "") if cancel_asked else (None, "")
        if sign is None:
            return JobState.CANCELLED, _ended_by_somebody(job)
    if sign is None:
        return JobState.LOST, _without_a_word(job, strays)
    message = sign.message.format(told)
    return sign.state, Cause(
        kind=sign.kind, message=message, hint=sign.hint, excerpt=_excerpt(strays)
    )


def _texts(job: Seen) -> list[str]:
    """Where a reason may stand, the most telling first."""
    last = job.attempts[-1] if job.attempts else None
    found = [job.status_reason, job.reason]
    if last is not None:
        found += [last.status_reason, last.reason]
    return [text for text in found if text]


def _find(sign: _Sign, text: str) -> str:
    return _said(text) if sign.pattern.search(text) else ""


def _said(text: str) -> str:
    return " ".join(render_text(text).split())[:300].rstrip(".")


def _ended_by_somebody(job: Seen) -> Cause:
    return Cause(
        kind=CauseKind.CANCELLED,
        message=f"Somebody ended the job in AWS Batch: {_said(job.status_reason) or 'no reason'}.",
        hint="Ask who manages the account, or submit it again.",
    )


def _without_a_word(job: Seen, strays: Sequence[str]) -> Cause:
    if job.exit_code == TRY_AGAIN:
        return Cause(
            kind=CauseKind.SUPERVISOR_DIED,
            message="The worker could not reach the bucket, in the last attempt as well.",
            hint="Look at S3's endpoint in the job's subnet and at the job role (docs/aws.md). "
            f"{_AGAIN}",
            excerpt=_excerpt(strays),
        )
    said = _said(job.reason or job.status_reason)
    code = "no exit code" if job.exit_code is None else f"exit code {job.exit_code}"
    return Cause(
        kind=CauseKind.SUPERVISOR_DIED,
        message=f"The worker ended without leaving a result ({code}{': ' + said if said else ''}).",
        hint=f"The end of the log may tell why. {_AGAIN}",
        excerpt=_excerpt(strays),
    )


def _excerpt(strays: Sequence[str]) -> tuple[str, ...]:
    shown = (render_text(line)[:300] for line in strays[-_MAX_EXCERPT:])
    return tuple(line for line in shown if line.strip())
