"""A stream of bytes with known values taken out, wherever it is cut into pieces.

Only what may be the beginning of a value is held back: mostly nothing, never more than a value with
the blanks in it can span, up to 64 KiB of these. A line that ends in up to three bytes that begin a
value is not held back, as nearly every line would be: of a value that goes on behind the line's end
these three bytes are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.redaction import without
from mcp_cloud_agents.governance.secret_forms import squeezed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.governance.redaction import Redactor, Span

_BLANKS_BYTES = 65_536
_SHOWN_BYTES = 3


class RedactedStream:
    """Redacts what is fed to it, and hands it on to `sink` in pieces that are never empty.

    Attributes:
        found: how many values were taken out so far.
    """

    def __init__(self, redactor: Redactor, sink: Callable[[bytes], None]) -> None:
        self._redactor = redactor
        self._sink = sink
        self._tail, self._given = b"", 0  # what may begin a value, and how much of it is out
        self._most = 4 * redactor.longest + _BLANKS_BYTES
        self.found = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        if not self._redactor.longest:
            self._sink(data)
            return
        held = self._tail + data
        spans = self._redactor.spans(held)
        end = self._redactor.open_from(held)
        for start, stop in spans:  # a value is given out whole, or waits for a longer one
            if start < end < stop:
                end = start
        if len(held) - end > self._most:
            end = spans[-1][1] if spans and spans[-1][1] > end else len(held)
        out = len(held) if _ends_a_line(held[end:]) else end
        self._give(held, spans, out)
        self._tail, self._given = held[end:], max(out, self._given) - end

    def close(self) -> None:
        """Give out what is left."""
        held = self._tail
        self._give(held, self._redactor.spans(held), len(held))
        self._tail, self._given = b"", 0

    def _give(self, held: bytes, spans: list[Span], end: int) -> None:
        """Hand on what is before `end` and was not handed on before."""
        begin = self._given
        now = [
            (max(start, begin) - begin, stop - begin)
            for start, stop in spans
            if begin < stop <= end
        ]
        self.found += len(now)
        if end > begin:
            self._sink(without(held[begin:end], now))


def _ends_a_line(tail: bytes) -> bool:
    return tail.endswith(b"\n") and len(squeezed(tail)) <= _SHOWN_BYTES
