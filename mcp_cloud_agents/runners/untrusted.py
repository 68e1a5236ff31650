"""Values out of a hostile report made safe to keep: names, messages, lines, seconds, paths."""

from __future__ import annotations

import math
import posixpath
import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.rendering import MAX_LINE_CHARS, render_text

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CASES = 100_000
MAX_DETAILS = 20
_NAME_CHARS = 500
_MESSAGE_CHARS = 1_000
_LINE_CHARS = 400
_TEXT_CHARS = 200_000
_MAX_SECONDS = 10_000_000.0
_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_FOREIGN = frozenset({"node_modules", "site-packages", ".venv", "venv", ".tox", ".nox", ".git"})


def name(text: str) -> str:
    """An id or a name: one line, at most 500 characters."""
    return _cut(_plain(text).replace("\n", " ").replace("\t", " "), _NAME_CHARS)


def message(text: str) -> str:
    """What went wrong, at most 1,000 characters."""
    return _cut(_plain(text).strip(), _MESSAGE_CHARS)


def lines(text: str) -> list[str]:
    """The lines of a failure's text, each at most 400 characters."""
    return [
        _cut(line.rstrip(), _LINE_CHARS) for line in _plain(text).rstrip().strip("\n").split("\n")
    ]


def around(found: list[str], marks: str) -> tuple[str, ...]:
    """At most 20 lines: from a little before the first that `marks` (a regex) matches."""
    if len(found) <= MAX_DETAILS:
        return tuple(line for line in found if line) if found == [""] else tuple(found)
    pattern = re.compile(marks)
    first = next((at for at, line in enumerate(found) if pattern.match(line)), 0)
    start = max(0, min(first - 5, len(found) - MAX_DETAILS))
    return tuple(found[start : start + MAX_DETAILS])


def seconds(value: str | float | None) -> float:
    """A duration: finite, not negative, 0 for nonsense; "1,234.5" is understood."""
    try:
        number = float(value.replace(",", "")) if isinstance(value, str) else float(value or 0.0)
    except ValueError:
        return 0.0
    if not math.isfinite(number) or number < 0:
        return 0.0
    return round(min(number, _MAX_SECONDS), 4)


def inside(path: str, *, tree: str, base: str = "") -> str | None:
    """A path relative to the tree; None when it lies outside, or in installed packages.

    Args:
        path: as the report names it.
        tree: absolute path of the tree.
        base: absolute path that a relative `path` starts at; the tree when empty.
    """
    if not path or len(path) > _NAME_CHARS or "\0" in path:
        return None
    whole = posixpath.normpath(posixpath.join(base or tree, path))
    if not whole.startswith(f"{tree}/"):
        return None
    relative = whole[len(tree) + 1 :]
    return None if _FOREIGN & set(relative.split("/")) else name(relative)


def first_frame(
    text: str, patterns: Sequence[re.Pattern[str]], *, tree: str, base: str = ""
) -> tuple[str, int] | None:
    """File and line of the first stack frame inside the tree.

    Args:
        text: a stack trace.
        patterns: what a frame looks like, with the groups `path` and `line`.
        tree: absolute path of the tree.
        base: absolute path that relative paths start at; the tree when empty.
    """
    for line in text[:_TEXT_CHARS].split("\n"):
        if len(line) > 2_000:  # no frame is that long; bounds what a regex may look at
            continue
        for pattern in patterns:
            found = pattern.search(line)
            file = inside(found["path"], tree=tree, base=base) if found else None
            if found and file is not None and len(found["line"]) < 10:
                return file, int(found["line"])
    return None


def _plain(text: str) -> str:
    if len(text) <= MAX_LINE_CHARS and text.isascii() and text.isprintable():
        return text  # as nearly all names are: there is nothing to replace or to cut
    return _NOT_XML.sub("\ufffd", render_text(text[:_TEXT_CHARS]))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
