"""What an answer used, read as it passes: whole, or as a stream of server-sent events."""

from __future__ import annotations

import json
from typing import Any

from mcp_cloud_agents.domain.fix import Provider
from mcp_cloud_agents.worker.fix.gateway.untyped import is_object
from mcp_cloud_agents.worker.fix.prices import Used

_KEPT_BYTES = 8 << 20
"""Of one event, or of a whole answer; a longer one counts as its worst case."""
_MOST_TOKENS = 10**9
"""Of one request: a larger count is no count."""
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_LAST_EVENT: dict[Provider, tuple[bytes, ...]] = {
    Provider.ANTHROPIC: (b'"message_stop"',),
    Provider.OPENAI: tuple(f'"{end}"'.encode() for end in _ENDS),
    Provider.OPENAI_CHAT: (b"[DONE]",),
}
"""What is in the event that ends a stream. Without it a stream has broken off, however quietly."""


class UsageReader:
    """Sees an answer in pieces. `used` is what it used, as soon as the provider has said so.

    Args:
        provider: whose format it is in.
        stream: whether it comes as events.
    """

    def __init__(self, provider: Provider, *, stream: bool) -> None:
        self._provider = provider
        self._stream = stream
        self._kept = bytearray()
        self._skipping = False
        self._begun: dict[str, Any] = {}
        self.used: Used | None = None
        self.whole = not stream
        """Whether the answer came to its own end."""

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        self._kept += piece
        if self._stream and b"\n" in piece:
            *lines, rest = bytes(self._kept).split(b"\n")
            self._kept = bytearray(rest)
            for line in lines:
                self._line(line)
        if len(self._kept) > _KEPT_BYTES:
            self._kept.clear()
            self._skipping = True

    def end(self) -> None:
        """There is no more; a whole answer is read now."""
        if not self._stream and not self._skipping:
            self._found(_usage_of(_parsed(bytes(self._kept))))

    def _line(self, line: bytes) -> None:
        skipped, self._skipping = self._skipping, False
        if skipped or not line.startswith(b"data:"):
            return
        self.whole = self.whole or any(end in line for end in _LAST_EVENT[self._provider])
        if b'"usage"' not in line:
            return
        event = _parsed(line[5:])
        match self._provider:
            case Provider.ANTHROPIC:
                self._anthropic(event)
            case Provider.OPENAI:
                if event.get("type") in _ENDS:
                    self._found(_usage_of(_dict(event.get("response"))))
            case _:
                self._found(_usage_of(event))

    def _anthropic(self, event: dict[str, Any]) -> None:
        """The input is told at the beginning, and perhaps corrected at the end with the output."""
        if event.get("type") == "message_start":
            self._begun = _usage_of(_dict(event.get("message")))
        elif event.get("type") == "message_delta" and self._begun:
            told = _usage_of(event)
            self._found({**self._begun, **{k: v for k, v in told.items() if v is not None}})

    def _found(self, usage: dict[str, Any]) -> None:
        if usage:
            self.used = _anthropic(usage) if self._is_anthropic else _openai(usage)

    @property
    def _is_anthropic(self) -> bool:
        return self._provider is Provider.ANTHROPIC


def _anthropic(usage: dict[str, Any]) -> Used | None:
    """Its input counts leave the cached parts out."""
    plain, got = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if plain is None or got is None:
        return None
    written = _count(usage, "cache_creation_input_tokens") or 0
    read = _count(usage, "cache_read_input_tokens") or 0
    return Used(
        input_tokens=plain + written + read,
        output_tokens=got,
        cache_write_tokens=written,
        cache_read_tokens=read,
    )


def _openai(usage: dict[str, Any]) -> Used | None:
    """Responses and Chat name the same things differently."""
    for sent_name, got_name in (
        ("input_tokens", "output_tokens"),
        ("prompt_tokens", "completion_tokens"),
    ):
        sent, got = _count(usage, sent_name), _count(usage, got_name)
        if sent is not None and got is not None:
            details = _dict(usage.get(f"{sent_name}_details"))
            read = min(sent, _count(details, "cached_tokens") or 0)
            return Used(input_tokens=sent, output_tokens=got, cache_read_tokens=read)
    return None


def _usage_of(answer: dict[str, Any]) -> dict[str, Any]:
    return _dict(answer.get("usage"))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(data))
    except (ValueError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if is_object(value) else {}


def _count(usage: dict[str, Any], name: str) -> int | None:
    value = usage.get(name)
    sound = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if sound else None
