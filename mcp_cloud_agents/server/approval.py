"""Asking the client's person whether a stored job may start, in both protocol eras.

    legacy   submit ─ elicitation/create, at most 45 s ─ answer ─ start        one call
    modern   submit ─ InputRequiredResult ┊ the same call again ─ answer ─ start

The job was stored before the question, so the second call finds that job and starts no other: its
id is in the request state, which the SDK seals with a key of this process. Only a form that says
`approve: true` starts it. Everything else but a no gives the money back and leaves the question
open for a terminal: clients without a person answer decline (codex exec) or cancel (claude -p).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from mcp_cloud_agents.domain.errors import AgentsError, NothingToApprove
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.server.calls import actor_of
from mcp_cloud_agents.server.question_text import question_text
from mcp_cloud_agents.server.room import one_line

if TYPE_CHECKING:
    from anyio import CancelScope
    from mcp.server.mcpserver import Context

    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner

_LOOK_EVERY_S = 1.0
_GIVE_BACK_S = 5.0
_NAME = "approval"
_REASON_CHARS = 500
_FORM = {
    "type": "object",
    "properties": {
        "approve": {
            "type": "boolean",
            "title": "Start this job",
            "description": "Yes starts exactly this job, once.",
        },
        "reason": {
            "type": "string",
            "title": "Reason",
            "description": "Optional; it is kept with your answer.",
            "maxLength": _REASON_CHARS,
        },
    },
    "required": ["approve"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came back: a yes, a no, or WAITING when it was neither."""

    answer: Answer
    why: str


def waits(view: JobView) -> bool:
    """Whether a person can still answer the job's question."""
    return view.question is not None and view.question.answer is Answer.WAITING


async def ask(
    runner: JobRunner, ctx: Context, view: JobView, *, ask_s: float
) -> JobView | InputRequiredResult:
    """Ask about a job that waits; what became of it, or what the client has to send first.

    Raises:
        AgentsError: from the answer, such as OverBudget; the job was not started.
    """
    question = view.question
    if question is None or question.answer is not Answer.WAITING:
        return view
    if not _can_ask(ctx):
        return await _settle(runner, ctx, view, _nothing("this client cannot ask its person"))
    request = ElicitRequestFormParams(
        message=question_text(view.spec, question), requested_schema=_FORM
    )
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return InputRequiredResult(
            input_requests={_NAME: ElicitRequest(params=request)},
            request_state=json.dumps([view.spec.id, question.digest]),
        )
    said = _nothing("nobody answered in the client in time")
    try:
        with anyio.move_on_after(ask_s):
            said = await _asked_now(runner, ctx, view.spec.id, request)
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(_GIVE_BACK_S, shield=True):
            await _settle(runner, ctx, view, _nothing("the call that asked was cancelled"))
        raise
    return await _settle(runner, ctx, view, said)


async def answered(runner: JobRunner, ctx: Context, state: str) -> JobView:
    """The second call of the modern era: answer the question of the job that the state names.

    Args:
        runner: of this machine.
        ctx: of the call; its input responses have the form.
        state: what this server gave out; the SDK checked its seal, the tool and the arguments.

    Raises:
        NothingToApprove: the job's question is another one now.
        AgentsError: from the answer; the job was not started.
    """
    job, digest = json.loads(state)
    view = await runner.look(JobId(job))
    if view.question is None:  # somebody in a terminal was faster
        return view
    if view.question.digest != digest:
        raise NothingToApprove(
            f"What was asked about job {job} is not what it would do now; it was not started.",
            hint="Submit it again, so that a person is asked anew.",
        )
    if not waits(view):
        return view
    response = (ctx.input_responses or {}).get(_NAME)
    brought = isinstance(response, ElicitResult)
    said = _read(response) if brought else _nothing("the client brought no answer")
    return await _settle(runner, ctx, view, said)


async def _settle(runner: JobRunner, ctx: Context, view: JobView, said: Said) -> JobView:
    """Pass on what was said; without a yes or a no the job goes on waiting, and holds no money."""
    job_id, actor = view.spec.id, actor_of(ctx)
    try:
        if said.answer is Answer.WAITING:
            return await runner.hold(job_id, actor=actor, why=said.why)
        return await runner.answer(job_id, said.answer, actor=actor, why=said.why)
    except NothingToApprove:
        now = await runner.look(job_id)
        if waits(now):  # what it would do or cost has changed
            raise
        return now  # somebody in a terminal was faster, or the time was up


async def _asked_now(
    runner: JobRunner, ctx: Context, job_id: JobId, request: ElicitRequestFormParams
) -> Said:
    """What the client's person says; a terminal that answers meanwhile ends the wait."""
    said = _nothing("it was answered elsewhere")
    async with anyio.create_task_group() as group:
        group.start_soon(_until_answered, runner, job_id, group.cancel_scope)
        said = await _heard(
            ctx.session.elicit_form(request.message, request.requested_schema, ctx.request_id)
        )
        group.cancel_scope.cancel()
    return said


async def _heard(form: Awaitable[ElicitResult]) -> Said:
    try:
        return _read(await form)
    except (MCPError, ValueError) as exc:  # ValueError: pydantic's, of what is no such answer
        return _nothing(f"the client could not ask: {type(exc).__name__}")


async def _until_answered(runner: JobRunner, job_id: JobId, asking: CancelScope) -> None:
    while True:
        await anyio.sleep(_LOOK_EVERY_S)
        try:
            if not waits(await runner.look(job_id)):
                break
        except AgentsError:  # the next look, or the answer itself, tells
            continue
    asking.cancel()


def _can_ask(ctx: Context) -> bool:
    """Whether the client declares forms; an empty capability means forms (MCP, elicitation)."""
    declared = ctx.client_capabilities
    found = declared.elicitation if declared is not None else None
    return found is not None and (found.form is not None or found.url is None)


def _read(result: ElicitResult) -> Said:
    """Only a boolean `approve` in an accepted form is an answer."""
    if result.action != "accept":
        return _nothing(f"the client answered {result.action}")
    content = result.content or {}
    approve, reason = content.get("approve"), content.get("reason") or ""
    if not isinstance(approve, bool) or not isinstance(reason, str):
        return _nothing("the client's answer does not fit the form")
    answer = Answer.APPROVED if approve else Answer.DENIED
    return Said(answer=answer, why=one_line(reason, _REASON_CHARS))


def _nothing(why: str) -> Said:
    return Said(answer=Answer.WAITING, why=why)
