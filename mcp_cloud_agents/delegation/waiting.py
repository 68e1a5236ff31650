"""A job that no backend knows yet, because a person has to agree first: what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import anyio

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.backend import Bytes

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.approvals import Question
    from mcp_cloud_agents.ports.records import Record

LOOK_EVERY_S = 0.5
NO_LOG = Bytes(data=b"", offset=0, size=0)


class Polled:
    """`ports.backend.Watch` of a job that a person was asked about; answers tell nobody."""

    async def changed(self, *, timeout_s: float) -> bool:
        """See the port."""
        await anyio.sleep(min(timeout_s, LOOK_EVERY_S))
        return True


def waiting_view(record: Record, question: Question, note: str = "") -> JobView:
    """All that is known of it."""
    return JobView(
        spec=record.spec,
        backend=record.backend,
        status=status_of(question),
        result=None,
        tail=NO_LOG,
        note=note,
        question=question,
    )


def status_of(question: Question) -> JobStatus:
    """The state of a job by its question."""
    asked = JobStatus(
        state=JobState.AWAITING_APPROVAL,
        history=((JobState.AWAITING_APPROVAL, question.asked_at),),
        waiting=f"a person has to agree: {question.reason}",
    )
    match question.answer:
        case Answer.WAITING:
            return asked
        case Answer.APPROVED:
            at = question.answered_at or question.asked_at
            return asked.advance(JobState.QUEUED, at=at)
        case Answer.DENIED | Answer.EXPIRED:
            at = question.answered_at or question.expires_at
            return asked.advance(JobState.CANCELLED, at=at, cause=_cause(question))
        case _:
            assert_never(question.answer)


def _cause(question: Question) -> Cause:
    if question.answer is Answer.EXPIRED:
        return Cause(
            kind=CauseKind.NOT_APPROVED,
            message="Nobody agreed in time, so the job was given up; its money is free again.",
            hint="Submit it again, and let a person run `mcp-cloud-agents approve JOB` sooner.",
        )
    why = f": {question.why}" if question.why else ""
    return Cause(
        kind=CauseKind.NOT_APPROVED,
        message=f"{question.answered_by} said no{why}. Nothing was run; its money is free again.",
        hint="Do not ask for the same again; ask the person what would be right.",
    )
