"""Untrusted output made harmless for terminals and models; the raw bytes stay as they are."""

from __future__ import annotations

import re

MAX_LINE_CHARS = 4_096
_ESCAPE = re.compile(
    r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|\[[0-?]*[ -/]*[@-~]|[PX^_][^\x1b]*\x1b\\|[@-Z\\-_])"
)
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def render(raw: bytes) -> str:
    """Text of `raw` without escape sequences, control and direction characters.

    Invalid UTF-8 and what is neutralised become U+FFFD; a lone carriage return becomes a newline;
    lines over 4,096 characters are cut, with the count of what was left out.
    """
    return render_text(raw.decode("utf-8", "replace"))


def render_text(text: str) -> str:
    """The same for text that is decoded already."""
    plain = _ESCAPE.sub("", text.replace("\r\n", "\n"))
    safe = _CONTROL.sub(lambda m: "\n" if m[0] == "\r" else "\ufffd", plain)
    if len(safe) <= MAX_LINE_CHARS:
        return safe
    return "\n".join(_cut(line) for line in safe.split("\n"))


def _cut(line: str) -> str:
    left_out = len(line) - MAX_LINE_CHARS
    return line if left_out <= 0 else f"{line[:MAX_LINE_CHARS]} [{left_out} characters left out]"


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 file" or "3 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def change_text(files: int, insertions: int, deletions: int) -> str:
    """How much a patch changes, as `git diff --shortstat` would say it."""
    return f"{counted(files, 'file')}, +{insertions} -{deletions}"
