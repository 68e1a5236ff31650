"""What a person reads before trusting a configuration: all of it, or what changed since."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def content_text(files: Mapping[str, bytes]) -> str:
    """Every file whole, under its name."""
    return "".join(_file(name, files[name]) for name in sorted(files)) or "(no files)\n"


def change_text(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """A unified diff of all files; an empty text when nothing changed."""
    names = sorted(before.keys() | after.keys())
    return "".join(_diff(name, before.get(name), after.get(name)) for name in names)


def visible(data: bytes) -> str:
    """Text in which nothing hides: characters that print nothing stand as escapes."""
    text = data.decode(errors="backslashreplace")
    return "".join(
        char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text
    )


def _file(name: str, data: bytes) -> str:
    lines = "".join(f"  {line}\n" for line in visible(data).split("\n"))
    return f"{visible(name.encode(errors='surrogateescape'))} ({len(data)} bytes)\n{lines}"


def _diff(name: str, before: bytes | None, after: bytes | None) -> str:
    if before == after:
        return ""
    shown = visible(name.encode(errors="surrogateescape"))
    lines = difflib.unified_diff(
        _lines(before),
        _lines(after),
        "(nothing)" if before is None else f"trusted {shown}",
        "(nothing)" if after is None else f"now {shown}",
        lineterm="",
    )
    return "".join(f"{line}\n" for line in lines) or f"{shown}: an empty file came or went\n"


def _lines(data: bytes | None) -> list[str]:
    return [] if not data else visible(data).split("\n")
