"""What a tool call says about itself: who calls, under which id; and how errors become answers."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from mcp.types import CallToolResult, ResourceLink, TextContent

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.errors import AgentsError, BadPaths
from mcp_cloud_agents.governance.approval import PROGRAM, TERMINAL
from mcp_cloud_agents.server.answers import Answer, Problem
from mcp_cloud_agents.server.room import cut, one_line, within

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

_log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
_CALL_ID_KEYS = ("callId", "claudecode/toolUseId")  # Codex and Claude Code, each its own
_OUR_NAMES = frozenset({TERMINAL, PROGRAM})
_NAME_CHARS = 200
_MAX_PATHS = 20
_MESSAGE_CHARS, _HINT_CHARS, _PATHS_CHARS = 1_500, 1_000, 2_500


def call_key(ctx: Context, given: str | None) -> str | None:
    """The idempotency key of a call: the caller's own, else the client's call id."""
    if given:
        return f"caller:{given}"
    found = _call_id(ctx)
    return f"call:{found[:180]}" if found else None


def actor_of(ctx: Context) -> Actor:
    """Who calls, by the client's own word: harmless text, and never a name that we give."""
    params = ctx.session.client_params
    name, version = "", ""
    if params is not None:
        name, version = _name(params.client_info.name), _name(params.client_info.version)
    if name.casefold() in _OUR_NAMES:
        name = f"a client named {name}"
    return Actor(client=name, client_version=version, call_id=_name(_call_id(ctx) or ""))


def _call_id(ctx: Context) -> str | None:
    meta = ctx.request_context.meta or {}
    return next((meta[name] for name in _CALL_ID_KEYS if isinstance(meta.get(name), str)), None)


def _name(text: str) -> str:
    """Letters that look like others, or like nothing, are written as their numbers."""
    plain = one_line(text[:_NAME_CHARS], _NAME_CHARS)
    return plain.encode("ascii", "backslashreplace").decode()[:_NAME_CHARS]


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
    if isinstance(exc, BadPaths):
        told = [f"{cut(path, 500)}: {cut(reason, 200)}" for path, reason in exc.paths]
        paths = within(told[:_MAX_PATHS], _PATHS_CHARS)
        if left_out := len(told) - len(paths):
            paths.append(f"and {left_out} more")
    return Problem(code=exc.code, message=exc.message, hint=exc.hint, paths=paths)


def refusal_of(problem: Problem) -> CallToolResult:
    """An answer that is only an error; message and hint stand in it twice."""
    message, hint = cut(problem.message, _MESSAGE_CHARS), cut(problem.hint, _HINT_CHARS)
    error = problem.model_copy(update={"message": message, "hint": hint})
    return result_of(Answer(ok=False, summary=message, next=hint, error=error))


def without_secrets(result: Any, redact: Callable[[str], str]) -> Any:
    """An answer that is an error, its texts redacted; any other as it is: workers cleaned it."""
    if not isinstance(result, CallToolResult) or not result.is_error:
        return result
    told = _each_text(result.structured_content, redact)
    texts = [
        TextContent(type="text", text=redact(one.text)) if isinstance(one, TextContent) else one
        for one in result.content
    ]
    if told is not None and told != result.structured_content:
        texts = [TextContent(type="text", text=json.dumps(told, ensure_ascii=False))]
    return result.model_copy(update={"content": texts, "structured_content": told})


def _each_text(value: Any, redact: Callable[[str], str]) -> Any:
    match value:
        case str():
            return redact(value)
        case list():
            return [_each_text(one, redact) for one in cast("list[Any]", value)]
        case dict():
            pairs = cast("dict[str, Any]", value).items()
            return {name: _each_text(one, redact) for name, one in pairs}
        case _:
            return value


def tool_errors(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R | CallToolResult]]:
    """Turn this program's errors into answers; anything else is logged and told as internal."""

    @functools.wraps(tool)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> R | CallToolResult:
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
