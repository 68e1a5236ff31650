"""Reads git's unified diff text: which lines of which files are new, gone or kept.

Lines are counted by the hunk headers, so a line of a file that looks like a header is not one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_OCTAL = re.compile(rb'\\([0-7]{3}|["\\abfnrtv])')
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a hunk."""

    kind: str
    """`+` new, `-` gone, ` ` kept."""
    number: int
    """1-based, in the new file; of a line that is gone: where it was."""
    text: str


@dataclass(slots=True)
class FileChange:
    """What a diff says of one file."""

    path: str
    """New path; of a file that is gone: the old one."""
    created: bool = False
    """Whether the file was not there before."""
    binary: bool = False
    lines: list[Line] = field(default_factory=list[Line])

    def new(self) -> list[Line]:
        """The new lines, in order."""
        return [line for line in self.lines if line.kind == "+"]


def read_diff(diff: str) -> list[FileChange]:
    """The changed files of a diff that git wrote, in its order. What is no diff is passed over."""
    files = list[FileChange]()
    lines = iter(diff.split("\n"))
    for line in lines:
        if line.startswith("diff --git "):
            files.append(FileChange(path=_path_of_header(line)))
        elif not files:
            continue
        elif line.startswith(("--- ", "+++ ")):
            if (path := _path(line[4:])) is not None:
                files[-1].path = path
        elif line.startswith("new file mode "):
            files[-1].created = True
        elif line.startswith(("GIT binary patch", "Binary files ")):
            files[-1].binary = True
        elif hunk := _HUNK.match(line):
            old, start, new = hunk[1] or "1", hunk[2], hunk[3] or "1"
            files[-1].lines += _hunk(lines, int(old), int(start), int(new))
    return files


def _hunk(lines: Iterator[str], old: int, number: int, new: int) -> Iterator[Line]:
    while old > 0 or new > 0:
        line = next(lines, None)
        if line is None:
            return
        kind, text = line[:1] or " ", line[1:]
        if kind == "\\":  # "\ No newline at end of file"
            continue
        yield Line(kind, number, text)
        old -= kind in "- "
        new -= kind in "+ "
        number += kind in "+ "


def _path_of_header(line: str) -> str:
    """The second path of `diff --git a/X b/X`, which is all there is for a binary file."""
    rest = line.removeprefix("diff --git ")
    if rest.endswith('"'):
        return _path(rest[rest.rindex(' "') + 1 :]) or ""
    return rest[len(rest) // 2 + 1 :].removeprefix("b/")  # both are the same: no renames


def _path(text: str) -> str | None:
    """The path that git names, or None for /dev/null."""
    plain = text.removesuffix("\t")
    if plain.startswith('"'):
        raw = _OCTAL.sub(_unescaped, plain.strip('"').encode())
        plain = raw.decode("utf-8", "replace")
    return None if plain == "/dev/null" else plain[2:]


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8) & 255]) if len(code) == 3 else _ESCAPES.get(code, code)


def normalised(diff: str) -> str:
    """The change alone: without positions, hashes, kept lines, spacing, blank lines and comments.

    Two candidates with equal text made the same change.
    """
    told = list[str]()
    for file in sorted(read_diff(diff), key=lambda one: one.path):
        changed = ((line.kind, _squeezed(line.text)) for line in file.lines if line.kind != " ")
        body = [f"{kind}{text}" for kind, text in changed if text]
        told += [f"= {file.path}{' (binary)' if file.binary else ''}", *body]
    return "\n".join(told)


def _squeezed(text: str) -> str:
    """One line without spacing that says nothing; empty for a comment."""
    plain = text.strip()
    if plain.startswith(("# ", "//", "/*", "* ")) or plain in ("#", "*", "*/"):
        return ""
    depth = len(text) - len(text.lstrip())
    return f"{' ' * depth}{' '.join(plain.split())}" if plain else ""
