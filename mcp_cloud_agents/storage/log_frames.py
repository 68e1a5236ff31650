r"""Frames: raw bytes of a job's log as lines of text, each with its offset.

What a worker prints goes to CloudWatch line by line, where lines may be late, doubled or lost. So
each says where its bytes belong, as in the durable log:

    <offset of its first byte, decimal> <payload>

The payload is the raw bytes: UTF-8 text stands as it is, a backslash is `\\`, a newline `\n`, and
every other byte of what is no printable text `\xNN`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FRAME_BYTES = 60_000
"""Raw; four times as much when each byte is escaped, which the awslogs driver still takes as one
event (262,118 bytes)."""

_FRAME = re.compile(r"(0|[1-9][0-9]{0,14}) (.+)", re.DOTALL | re.ASCII)
_ESCAPE = re.compile(r"\\(?:\\|n|x([0-9a-f]{2}))", re.ASCII)
_LAST_SPACE = re.compile(r" \Z")
"""Not every reader of lines keeps it."""


def encode(offset: int, data: bytes) -> list[str]:
    """Lines, without line breaks, that carry `data`, which begins at `offset` of the log."""
    frames: list[str] = []
    for piece in _pieces(data):
        frames.append(f"{offset} {_escaped(piece)}")
        offset += len(piece)
    return frames


def decode(line: str) -> tuple[int, bytes] | None:
    """Offset and bytes of a frame; None when the line is none."""
    found = _FRAME.fullmatch(line)
    if found is None:
        return None
    try:
        payload = _unescaped(found[2])
    except ValueError:
        return None
    return int(found[1]), payload


def _pieces(data: bytes) -> Iterator[bytes]:
    """Lines with their newline, long ones in parts."""
    at = 0
    while at < len(data):
        newline = data.find(b"\n", at, at + MAX_FRAME_BYTES)
        end = at + MAX_FRAME_BYTES if newline < 0 else newline + 1
        yield data[at:end]
        at = end


def _escaped(piece: bytes) -> str:
    text = piece.decode("utf-8", "surrogateescape")
    body, newline = (text[:-1], "\\n") if text.endswith("\n") else (text, "")
    if not (body.isprintable() and "\\" not in body):
        body = "".join(map(_escaped_char, body))
    return body + newline if newline else _LAST_SPACE.sub(r"\\x20", body)


def _escaped_char(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char == "\n":
        return "\\n"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def _unescaped(payload: str) -> bytes:
    """The raw bytes.

    Raises:
        ValueError: a backslash begins nothing that is known, or a byte is no text.
    """
    parts: list[bytes] = []
    at = 0
    while (found := payload.find("\\", at)) >= 0:
        escape = _ESCAPE.match(payload, found)
        if escape is None:
            raise ValueError(f"no escape: {payload[found : found + 4]!r}")
        parts += (payload[at:found].encode(), _meant(escape))
        at = escape.end()
    return b"".join((*parts, payload[at:].encode()))


def _meant(escape: re.Match[str]) -> bytes:
    if escape[1] is not None:
        return bytes.fromhex(escape[1])
    return b"\n" if escape[0] == "\\n" else b"\\"
