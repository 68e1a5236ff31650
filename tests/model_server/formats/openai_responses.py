"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses and …-streaming."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.model_server.formats.format import Json
from tests.model_server.formats.openai_errors import error
from tests.model_server.script import Said, Turn

__all__ = ["error", "error_event", "events", "whole"]
_CREATED = 1_700_000_000
_STOPS = {"length": "max_output_tokens", "refusal": "content_filter"}


def whole(said: Said, model: str) -> Json:
    turn = said.turn
    reason = _STOPS.get(turn.stop)
    answer: Json = {
        "id": f"resp_{said.conversation}_{said.number}",
        "object": "response",
        "created_at": _CREATED,
        "status": "incomplete" if reason else "completed",
        "model": model,
        "output": [*_items(said)],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
    }
    return answer if turn.no_usage else {**answer, "usage": _usage(turn)}


def events(said: Said, model: str) -> Iterator[tuple[str, str]]:
    for number, event in enumerate(_events(said, model)):
        yield str(event["type"]), json.dumps({**event, "sequence_number": number})


def error_event(turn: Turn) -> tuple[str, str]:
    told = error(turn.status, turn.message)["error"]
    return "error", json.dumps({**told, "type": "error", "sequence_number": 99})


def _events(said: Said, model: str) -> Iterator[Json]:
    answer = whole(said, model)
    empty: Json = {**answer, "output": [], "status": "in_progress", "incomplete_details": None}
    empty.pop("usage", None)
    yield {"type": "response.created", "response": empty}
    for index, item in enumerate(answer["output"]):
        yield from _item_events(index, item)
    yield {"type": f"response.{answer['status']}", "response": answer}


def _item_events(index: int, item: Json) -> Iterator[Json]:
    place: Json = {"output_index": index, "item_id": item["id"]}
    opened = {**item, "status": "in_progress"}
    if item["type"] == "function_call":
        opened["arguments"] = ""
        yield {"type": "response.output_item.added", "output_index": index, "item": opened}
        kind, args = "response.function_call_arguments", item["arguments"]
        yield {"type": f"{kind}.delta", **place, "delta": args}
        yield {"type": f"{kind}.done", **place, "arguments": args, "name": item["name"]}
    else:
        yield from _text_events(place, item, {**opened, "content": []})
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _text_events(place: Json, item: Json, opened: Json) -> Iterator[Json]:
    part = item["content"][0]
    kind, field = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    place = {**place, "content_index": 0}
    index = place["output_index"]
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    yield {"type": "response.content_part.added", **place, "part": {**part, field: ""}}
    yield {"type": f"response.{kind}.delta", **place, "delta": part[field], "logprobs": []}
    yield {"type": f"response.{kind}.done", **place, field: part[field], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _items(said: Said) -> Iterator[Json]:
    turn = said.turn
    text = turn.text or ("I cannot do that." if turn.stop == "refusal" else "")
    if text:
        part: Json = (
            {"type": "refusal", "refusal": text}
            if turn.stop == "refusal"
            else {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        )
        yield {
            "type": "message",
            "id": f"msg_{said.conversation}_{said.number}",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
    for number, (name, args) in enumerate(turn.calls):
        call = said.call_id("call", number)
        yield {
            "type": "function_call",
            "id": f"fc_{said.conversation}_{said.number}_{number}",
            "call_id": call,
            "name": name,
            "arguments": args if isinstance(args, str) else json.dumps(args),
            "status": "completed",
        }


def _usage(turn: Turn) -> Json:
    sent, got = turn.usage
    return {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": got,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sent + got,
    }
