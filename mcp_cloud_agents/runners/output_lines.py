"""Output that comes in pieces, made into lines; a line without end is passed on in parts."""

from __future__ import annotations

MAX_LINE_BYTES = 1 << 20


class OutputLines:
    """Collects bytes and hands out whole lines."""

    def __init__(self) -> None:
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, each with its line feed."""
        self._partial += data
        if b"\n" not in data and len(self._partial) < MAX_LINE_BYTES:
            return []
        *whole, rest = bytes(self._partial).split(b"\n")
        lines = [line + b"\n" for line in whole]
        if len(rest) >= MAX_LINE_BYTES:
            lines.append(rest)
            rest = b""
        self._partial = bytearray(rest)
        return lines

    def flush(self) -> bytes:
        """What is left, without a line feed."""
        rest, self._partial = bytes(self._partial), bytearray()
        return rest
