"""What a tool call says about itself: who calls, under which id, and how progress is told."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec

from mcp.types import CallToolResult, ResourceLink, TextContent

from mcp_cloud_agents.domain.errors import AgentsError, RefusedFiles
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.server.answers import Answer, Problem

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

_log = logging.getLogger(__name__)
P = ParamSpec("P")
_CALL_ID_KEYS = ("callId", "claudecode/toolUseId")  # Codex and Claude Code, each its own
_MAX_PATHS = 20


def call_key(ctx: Context, given: str | None) -> str | None:
    """The idempotency key of a call: the caller's own, else the client's call id."""
    if given:
        return f"caller:{given}"
    meta = ctx.request_context.meta or {}
    found = next((meta[name] for name in _CALL_ID_KEYS if isinstance(meta.get(name), str)), None)
    return f"call:{found[:180]}" if found else None


def result_of(answer: Answer, links: list[ResourceLink] | None = None) -> CallToolResult:
    """The answer on the wire."""
    text = answer.model_dump_json(exclude_none=True)
    return CallToolResult(
        content=[TextContent(type="text", text=text), *(links or [])],
        structured_content=answer.model_dump(mode="json", exclude_none=True),
        is_error=not answer.ok,
    )


def problem_of(exc: AgentsError) -> Problem:
    """An error of ours as data."""
    paths: list[str] | None = None
    if isinstance(exc, RefusedFiles):
        paths = [f"{render_text(path)}: {reason}" for path, reason in exc.paths[:_MAX_PATHS]]
    return Problem(
        code=exc.code,
        message=render_text(exc.message)[:2_000],
        hint=render_text(exc.hint)[:1_500],
        paths=paths,
    )


def refusal_of(problem: Problem) -> CallToolResult:
    """An answer that is only an error."""
    answer = Answer(ok=False, summary=problem.message, next=problem.hint, error=problem)
    return result_of(answer)


def tool_errors(
    tool: Callable[P, Awaitable[CallToolResult]],
) -> Callable[P, Awaitable[CallToolResult]]:
    """Turn this program's errors into answers; anything else is logged and told as internal."""

    @functools.wraps(tool)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
        try:
            return await tool(*args, **kwargs)
        except AgentsError as exc:
            return refusal_of(problem_of(exc))
        except Exception:  # noqa: BLE001  the tool boundary's last resort
            _log.exception("tool_failed")
            return refusal_of(
                Problem(
                    code="internal",
                    message="The server made a mistake; its log on stderr has the details.",
                    hint="Nothing is lost: list_jobs shows what was started. Please report this.",
                )
            )

    return answered
