"""What a wire format has to say: a whole answer, the same as events, and an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from tests.model_server.script import Said, Turn

Json = dict[str, Any]


class Format(Protocol):
    """One module of this folder is one."""

    def whole(self, said: Said, model: str) -> Json:
        """The answer in one piece."""
        ...

    def events(self, said: Said, model: str) -> Iterable[tuple[str, str]]:
        """The same as server-sent events: name (may be empty) and data."""
        ...

    def error(self, status: int, message: str) -> Json:
        """The body of an error, with the type that belongs to the status."""
        ...

    def error_event(self, turn: Turn) -> tuple[str, str]:
        """The same in the middle of a stream."""
        ...
