"""How many tokens a request's input has at most. A bound that holds, whatever the text is.

A token is at least a byte of the request. That alone is three to four times too much for a long
conversation, so what a provider counted for the beginning of the same conversation is taken as it
was counted, and bytes are counted only for what came after.
"""

from __future__ import annotations

import json
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.worker.fix.gateway.untyped import is_list, is_object

if TYPE_CHECKING:
    from mcp_cloud_agents.worker.fix.gateway.wire import Asked

_ADDED_BY_PROVIDER = 2_000
"""Providers put a prompt of their own before tools (Anthropic's documents: 264 to 804 tokens)."""
_PICTURE = 10_000
"""Whatever its size, none is more; the file says nothing of it."""


class InputBound:
    """Knows the conversations of one job. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted: dict[bytes, tuple[int, int]] = {}

    def most(self, asked: Asked, model: str) -> int:
        """Tokens that the input has at most when this model reads it."""
        names, sizes = _beginnings(asked, model)
        shown = sum(sizes) - asked.picture_bytes
        bounds = [shown + _ADDED_BY_PROVIDER]
        with self._lock:
            known = [
                (at, self._counted[name]) for at, name in enumerate(names) if name in self._counted
            ]
        if known:
            at, (tokens, size) = known[-1]
            longer = max(0, sum(sizes[: at + 1]) - size)  # names are the same with marks or without
            bounds.append(tokens + longer + sum(sizes[at + 1 :]) + _ADDED_BY_PROVIDER)
        return min(bounds) + _PICTURE * asked.picture_count

    def learn(self, asked: Asked, model: str, tokens: int) -> None:
        """The provider counted so many for this input."""
        names, sizes = _beginnings(asked, model)
        with self._lock:
            self._counted[names[-1]] = tokens, sum(sizes)


def _beginnings(asked: Asked, model: str) -> tuple[list[bytes], list[int]]:
    """A name for each beginning of the conversation, and the bytes that each adds to it."""
    so_far = sha256(model.encode())
    names: list[bytes] = []
    sizes: list[int] = []
    for part in (asked.head(), *asked.turns()):
        so_far.update(sha256(_unmarked(part)).digest())
        names.append(so_far.digest())
        sizes.append(len(part))
    return names, sizes


def _unmarked(part: bytes) -> bytes:
    """Without the marks of the provider's cache, which clients move along: the input is the same.

    Claude Code writes a text with a mark as a list of one block, and without it as a string.
    """

    def plain(value: dict[str, Any]) -> dict[str, Any]:
        if is_object(value.get("cache_control")):  # anything else is input like any other
            del value["cache_control"]
        content = value.get("content")
        block = content[0] if is_list(content) and len(content) == 1 else None
        if is_object(block) and block.keys() == {"type", "text"} and block["type"] == "text":
            value["content"] = block["text"]
        return value

    return json.dumps(json.loads(part, object_hook=plain), separators=(",", ":")).encode()
