"""Anthropic Messages: https://docs.anthropic.com/en/api/messages and …/messages-streaming."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.model_server.formats.format import Json
from tests.model_server.script import Said, Turn

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOPS = {"refusal": "refusal", "length": "max_tokens"}


def whole(said: Said, model: str) -> Json:
    turn = said.turn
    blocks = [{"type": "text", "text": turn.text}] if turn.text else []
    answer = {
        "id": f"msg_{said.conversation}_{said.number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [*blocks, *_calls(said)],
        **_end(turn),
    }
    return answer if turn.no_usage else {**answer, "usage": _usage(turn)}


def events(said: Said, model: str) -> Iterator[tuple[str, str]]:
    for event in _events(said, model):
        yield str(event["type"]), json.dumps(event)


def error(status: int, message: str) -> Json:
    return {"type": "error", "error": {"type": _TYPES.get(status, "api_error"), "message": message}}


def error_event(turn: Turn) -> tuple[str, str]:
    return "error", json.dumps(error(turn.status, turn.message))


def _events(said: Said, model: str) -> Iterator[Json]:
    answer, turn = whole(said, model), said.turn
    start: Json = {**answer, "content": [], "stop_reason": None}
    if not turn.no_usage:
        start["usage"] = {**_usage(turn), "output_tokens": 1}
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, block in enumerate(answer["content"]):
        empty: Json = {"text": ""} if block["type"] == "text" else {"input": {}}
        opened = {**block, **empty}
        yield {"type": "content_block_start", "index": index, "content_block": opened}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage: Json = {} if turn.no_usage else {"usage": {"output_tokens": turn.usage[1]}}
    yield {"type": "message_delta", "delta": _end(turn), **usage}
    yield {"type": "message_stop"}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": part} for part in _halves(block["text"]))
        return
    args = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
    yield from ({"type": "input_json_delta", "partial_json": part} for part in _halves(args))


def _halves(text: str) -> tuple[str, ...]:
    middle = len(text) // 2
    return tuple(part for part in (text[:middle], text[middle:]) if part)


def _calls(said: Said) -> Iterator[Json]:
    for number, (name, args) in enumerate(said.turn.calls):
        call = said.call_id("toolu", number)
        yield {"type": "tool_use", "id": call, "name": name, "input": args}


def _end(turn: Turn) -> Json:
    usual = "tool_use" if turn.calls else "end_turn"
    return {"stop_reason": _STOPS.get(turn.stop, usual), "stop_sequence": None}


def _usage(turn: Turn) -> Json:
    sent, got = turn.usage
    return {"input_tokens": sent, "output_tokens": got}
