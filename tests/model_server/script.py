"""What a scripted model says, request by request.

A script is a list of turns, or several lists, one a conversation. The turn of a request is the
number of requests seen so far; after the last turn the last one is said again.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

_CALL_ID = re.compile(r"\b(?:toolu|call)_s(\d+)t(\d+)k\d+\b")


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer, whole or broken."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    """Tools with their arguments; a string is sent as it is, so it need not be JSON."""
    usage: tuple[int, int] = (1_000, 100)
    """Input and output tokens."""
    no_usage: bool = False
    """Leave the usage out, as servers do that do not count."""
    stop: Literal["", "refusal", "length"] = ""
    """Why it stopped, where it is not the end of the turn or a call."""
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    """An error, with the type of error that belongs to it."""
    message: str = "scripted"
    """Of the error."""
    retry_after: str = ""
    in_stream: bool = False
    """Send the error as an event of a stream that began well."""
    delay: float = 0.0
    """Seconds before the answer; the server's end ends it."""
    drop: Literal["", "at_once", "half_way"] = ""
    """Close the connection instead of, or in the middle of, the answer."""
    raw: str = ""
    """Sent as the body, whatever the format."""


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answers to one script name."""

    turns: tuple[Turn, ...] = ()
    """For everybody who asks."""
    conversations: tuple[tuple[Turn, ...], ...] = ()
    """One list for each conversation, in the order in which they begin; told apart by the ids of
    calls in their history, so each answer before a list's last one needs a call."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A turn at its place."""

    turn: Turn
    conversation: int
    number: int
    """Of the turn in its conversation, from 0."""

    def call_id(self, prefix: str, number: int) -> str:
        """Id of the turn's call, which tells its place when it comes back."""
        return f"{prefix}_s{self.conversation}t{self.number}k{number}"


class Play:
    """A script as it is played: threads may ask at once."""

    def __init__(self, script: Script) -> None:
        self._lists = script.conversations or (script.turns,)
        self._one = not script.conversations
        self._lock = Lock()
        self._seen = 0

    def next(self, body: str) -> Said:
        """The answer to a request with this body."""
        with self._lock:
            before = self._seen
            place = (0, before) if self._one else _place(body)
            if place is None:
                place = (before, 0)
            if self._one or place[1] == 0:
                self._seen += 1
        conversation, number = place
        turns = self._lists[min(conversation, len(self._lists) - 1)]
        turn = turns[min(number, len(turns) - 1)]
        return Said(turn=turn, conversation=conversation, number=number)


def _place(body: str) -> tuple[int, int] | None:
    """Conversation and turn that follow the last call in the history."""
    found = [(int(one[1]), int(one[2])) for one in _CALL_ID.finditer(body)]
    if not found:
        return None
    conversation, number = max(found, key=lambda one: one[1])
    return conversation, number + 1
