"""A candidate's record: one JSON object a line, redacted, on the disk before the next step starts.

    {"at": seconds since the record began, "kind": "answer", "model": …, "parts": […]}

| kind | fields |
|---|---|
| prompt | instructions or text that went to the model |
| answer | model, finish, parts (text, thinking, calls with arguments) |
| tool | name, arguments, result or error, duration_s |
| test | ids that were asked for, counts, failing ids |
| cost | model, input_tokens, output_tokens, usd_micros, and the sums so far |
| note | text: a model that failed, a limit, a loop |
| end | reason, message |
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.storage.files import storage_errors, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mcp_cloud_agents.governance.redaction import Redactor

MAX_TEXT_CHARS = 20_000
"""Of one string; the first and the last half are kept."""
MAX_BYTES = 16 << 20
"""Of the whole file; what comes later is left out, and one note says so."""


class TranscriptFile:
    """`worker.fix.engine.Transcript` in a file that only its owner reads.

    Args:
        path: of the file; it is appended to.
        redactor: goes over every entry.
        monotonic: a clock in seconds.
    """

    def __init__(
        self, path: str, redactor: Redactor, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._redactor = redactor
        self._now = monotonic
        self._began = monotonic()
        self._full = False
        with storage_errors(path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o600)
            self._written = os.fstat(self._fd).st_size

    def write(self, kind: str, **data: Any) -> None:
        """Append an entry.

        Raises:
            NoSpace: the disk is full.
        """
        line = self._line(kind, data)
        if self._written + len(line) > MAX_BYTES and kind != "end":
            if self._full:
                return
            self._full = True
            line = self._line("note", {"text": f"Left out from here: over {MAX_BYTES:,} bytes."})
        with storage_errors(self._path):
            write_all(self._fd, line)
        self._written += len(line)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    def _line(self, kind: str, data: Mapping[str, Any]) -> bytes:
        at = round(self._now() - self._began, 3)
        entry = {"at": at, "kind": kind, **_shortened(self._redactor.data(_plain(data)))}
        return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Only what JSON has; anything else as its text, so that redaction sees all of it."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case dict():
            items = cast("Mapping[Any, Any]", value).items()
            return {str(key): _plain(one) for key, one in items}
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in cast("Sequence[Any]", value)]
        case _:
            return str(value)


def _shortened(value: Any) -> Any:
    match value:
        case str() if len(value) > MAX_TEXT_CHARS:
            half = MAX_TEXT_CHARS // 2
            left_out = len(value) - 2 * half
            return f"{value[:half]}\n[{left_out} characters left out]\n{value[-half:]}"
        case dict():
            items = cast("Mapping[str, Any]", value).items()
            return {key: _shortened(one) for key, one in items}
        case list():
            return [_shortened(one) for one in cast("Sequence[Any]", value)]
        case _:
            return value
