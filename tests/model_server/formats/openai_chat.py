"""OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.model_server.formats.format import Json
from tests.model_server.formats.openai_errors import error
from tests.model_server.script import Said, Turn

__all__ = ["error", "error_event", "events", "whole"]
_STOPS = {"refusal": "content_filter", "length": "length"}
_CREATED = 1_700_000_000


def whole(said: Said, model: str) -> Json:
    turn = said.turn
    answer: Json = {
        **_head(said, model, "chat.completion"),
        "choices": [{"index": 0, "message": _message(said), "finish_reason": _end(turn)}],
    }
    return answer if turn.no_usage else {**answer, "usage": _usage(turn)}


def events(said: Said, model: str) -> Iterator[tuple[str, str]]:
    head = _head(said, model, "chat.completion.chunk")
    message = _message(said)
    if calls := message.get("tool_calls"):
        message["tool_calls"] = [{"index": k, **call} for k, call in enumerate(calls)]
    end = _end(said.turn)
    chunks: list[Json] = [
        {**head, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": end}]},
    ]
    if not said.turn.no_usage:
        chunks.append({**head, "choices": [], "usage": _usage(said.turn)})
    yield from (("", json.dumps(chunk)) for chunk in chunks)
    yield "", "[DONE]"


def error_event(turn: Turn) -> tuple[str, str]:
    return "", json.dumps(error(turn.status, turn.message))


def _head(said: Said, model: str, kind: str) -> Json:
    answer = f"chatcmpl-{said.conversation}-{said.number}"
    return {"id": answer, "object": kind, "created": _CREATED, "model": model}


def _message(said: Said) -> Json:
    turn = said.turn
    if turn.stop == "refusal":
        return {"role": "assistant", "content": None, "refusal": turn.text or "I cannot do that."}
    message: Json = {"role": "assistant", "content": turn.text or None}
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": said.call_id("call", number),
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": args if isinstance(args, str) else json.dumps(args),
                },
            }
            for number, (name, args) in enumerate(turn.calls)
        ]
    return message


def _end(turn: Turn) -> str:
    return _STOPS.get(turn.stop, "tool_calls" if turn.calls else "stop")


def _usage(turn: Turn) -> Json:
    sent, got = turn.usage
    return {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got}
