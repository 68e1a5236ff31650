"""The three wire formats: what a client asked for, made into what may be forwarded. Pure.

Only listed fields pass. The others choose a dearer service tier or cache, keep things at the
provider, or let it reach the network (`mcp_servers`, `container`, `previous_response_id`, …).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mcp_cloud_agents.domain.fix import Provider
from mcp_cloud_agents.worker.fix.gateway.content import own_tools, pictures
from mcp_cloud_agents.worker.fix.gateway.refusal import Refusal
from mcp_cloud_agents.worker.fix.gateway.untyped import is_list, is_object

PATHS = {
    "/v1/messages": Provider.ANTHROPIC,
    "/v1/responses": Provider.OPENAI,
    "/v1/chat/completions": Provider.OPENAI_CHAT,
}
_SHARED = {"model", "tools", "tool_choice", "stream", "temperature", "top_p"}
_FIELDS: dict[Provider, set[str]] = {
    Provider.ANTHROPIC: {
        *("messages", "system", "max_tokens", "top_k", "stop_sequences"),
        *("thinking", "output_config"),
    },
    Provider.OPENAI: {
        *("input", "instructions", "max_output_tokens", "parallel_tool_calls", "reasoning"),
        *("text", "include", "prompt_cache_key", "truncation"),
    },
    Provider.OPENAI_CHAT: {
        *("messages", "max_tokens", "max_completion_tokens", "parallel_tool_calls", "stop"),
        *("response_format", "reasoning_effort", "seed", "presence_penalty", "frequency_penalty"),
    },
}
_TURNS = {
    Provider.ANTHROPIC: "messages",
    Provider.OPENAI: "input",
    Provider.OPENAI_CHAT: "messages",
}
_CONTEXT = ("previous_response_id", "conversation", "prompt")
"""Input that is kept at the provider: refused, since leaving it out changes what is asked."""
_LEAST_THINKING = 1_024
_DEEPEST = 100
_MOST_PARTS = 400_000
"""Commas and brackets, those in texts too. A million tokens of code have 250,000; 16 MiB of nothing
but these made 850 MiB in memory of this process, which no sandbox bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that may be forwarded."""

    provider: Provider
    model: str
    fields: dict[str, Any]
    """The body, without the model."""
    stream: bool
    output_tokens: int
    """The answer has at most so many."""
    picture_count: int
    picture_bytes: int

    def body(self, model: str) -> bytes:
        """The body for a route's model."""
        return _bytes({"model": model, **self.fields})

    def head(self) -> bytes:
        """All but the conversation, for comparing."""
        turns = _TURNS[self.provider]
        return _bytes({name: one for name, one in self.fields.items() if name != turns})

    def turns(self) -> list[bytes]:
        """The conversation, an element each."""
        return [_bytes(turn) for turn in self.fields[_TURNS[self.provider]]]


def asked(provider: Provider, body: bytes, most_output: int) -> Asked:
    """Read a request.

    Args:
        provider: whose format it is in.
        body: JSON, untrusted.
        most_output: tokens that an answer may have.

    Raises:
        Refusal: it cannot be read, or holds what must not be forwarded.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_PARTS:
        raise Refusal(413, "The body has too many parts.")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refusal(400, "The body is no JSON.") from exc
    if not is_object(fields) or not isinstance(model := fields.get("model"), str):
        raise Refusal(400, "The body names no model.")
    if kept := [name for name in _CONTEXT if fields.get(name)]:
        raise Refusal(400, f"The gateway does not forward {kept[0]}: send the whole conversation.")
    passing = _FIELDS[provider] | _SHARED
    fields = {name: value for name, value in fields.items() if name in passing}
    turns = _conversation(provider, fields)
    count, size = pictures(provider, turns)
    system = fields.get("system")
    pictures(provider, system if is_list(system) else [])
    del fields["model"]
    fields["stream"] = fields.get("stream") is True
    if "tools" in fields:
        fields["tools"] = own_tools(provider, fields["tools"])
    if not fields.get("tools"):  # a choice among no tools is an error to the provider
        fields.pop("tools", None)
        fields.pop("tool_choice", None)
    return Asked(
        provider=provider,
        model=model,
        output_tokens=_finished(provider, fields, most_output),
        fields=_short_cache(fields),
        stream=fields["stream"],
        picture_count=count,
        picture_bytes=size,
    )


def _conversation(provider: Provider, fields: dict[str, Any]) -> list[Any]:
    name = _TURNS[provider]
    turns = fields.get(name)
    if provider is Provider.OPENAI and isinstance(turns, str):
        turns = fields[name] = [{"role": "user", "content": turns}]
    if not is_list(turns):
        raise Refusal(400, f"{name} is no list.")
    return turns


def _finished(provider: Provider, fields: dict[str, Any], most: int) -> int:
    """Set what every request of this provider has; how many tokens its answer may have."""
    match provider:
        case Provider.ANTHROPIC:
            fields["max_tokens"] = most = _clamped(fields.get("max_tokens"), most)
            _clamp_thinking(fields, most)
        case Provider.OPENAI:
            fields["max_output_tokens"] = most = _clamped(fields.get("max_output_tokens"), most)
            fields["store"] = False
        case _:
            names = ("max_tokens", "max_completion_tokens")
            there = [name for name in names if name in fields] or ["max_tokens"]
            most = min(_clamped(fields.get(name), most) for name in there)
            fields |= dict.fromkeys(there, most)
            if fields["stream"]:  # without it a stream does not tell what it used
                fields["stream_options"] = {"include_usage": True}
    return most


def _clamped(wanted: object, most: int) -> int:
    """Both agents ask for more than any budget, or for nothing."""
    return min(wanted, most) if isinstance(wanted, int) and wanted > 0 else most


def _clamp_thinking(fields: dict[str, Any], most: int) -> None:
    """Thinking is part of the answer, and has to be smaller."""
    thinking = fields.get("thinking")
    if not is_object(thinking):
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < most:
        return
    if most // 2 < _LEAST_THINKING:
        del fields["thinking"]
    else:
        fields["thinking"] = {**thinking, "budget_tokens": most // 2}


def _short_cache(value: Any, depth: int = 0) -> Any:
    """The same without caches that last longer, which cost more than was reserved."""
    if depth > _DEEPEST:
        raise Refusal(400, "The body is nested too deeply.")
    if is_list(value):
        return [_short_cache(one, depth + 1) for one in value]
    if not is_object(value):
        return value
    return {
        name: {"type": "ephemeral"} if _is_mark(name, one) else _short_cache(one, depth + 1)
        for name, one in value.items()
    }


def _is_mark(name: str, value: object) -> bool:
    return name == "cache_control" and is_object(value)


def _bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
