"""Where each key and value of a TOML text stands: tomllib does not tell.

The text is known to be valid TOML 1.0, so this only walks over it: headers, keys, values.
"""

from __future__ import annotations

import re
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys, and indices of arrays, from the top of the document."""

_BLANK = re.compile(r"[ \t]*")
_BLANKS = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_VALUE = re.compile(r"[^,\]}#\r\n]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)


class Spot(NamedTuple):
    """Offsets in the text."""

    key: int
    value: int


def spots_of(text: str) -> dict[Path, Spot]:
    """The place of everything that the text says; a table's is its first mention."""
    walk = _Walk(text)
    walk.document()
    return walk.spots


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both from 1; columns count characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class _Walk:
    def __init__(self, text: str) -> None:
        self.spots: dict[Path, Spot] = {}
        self._text = text
        self._at = 0
        self._arrays: dict[Path, int] = {}
        """Index of the newest table of each `[[array]]`."""

    def document(self) -> None:
        table: Path = ()
        while not self._skip(_BLANKS):
            table = self._header() if self._text[self._at] == "[" else self._pair(table)

    def _header(self) -> Path:
        start, size = self._at, 2 if self._text.startswith("[[", self._at) else 1
        self._at += size
        keys = self._keys()
        self._at += size
        path: Path = ()
        for key, _ in keys[:-1]:
            path = self._newest((*path, key))
            self._put(path, start, start)
        path = (*path, keys[-1][0])
        self._put(path, start, start)
        if size == 2:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = self._newest(path)
            self._put(path, start, start)
        return path

    def _newest(self, path: Path) -> Path:
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _pair(self, table: Path) -> Path:
        """A key, dotted or not, with its value; the table goes on."""
        path = table
        keys = self._keys()
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        for key, offset in keys:
            path = (*path, key)
            self._put(path, offset, self._at)
        self._value(path)
        return table

    def _keys(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANK)
            found.append((self._key(), self._at))
            raw = _STRING.match(self._text, self._at) or _BARE_KEY.match(self._text, self._at)
            self._at = raw.end() if raw else self._at
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return found
            self._at += 1

    def _key(self) -> str:
        import tomllib

        if quoted := _STRING.match(self._text, self._at):
            return next(iter(tomllib.loads(f"{quoted[0]} = 0")))
        bare = _BARE_KEY.match(self._text, self._at)
        return bare[0] if bare else ""

    def _value(self, path: Path) -> None:
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        elif found := (_STRING if first in "\"'" else _PLAIN_VALUE).match(self._text, self._at):
            self._at = found.end()

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._next("]"):
            here = (*path, index)
            self._put(here, self._at, self._at)
            self._value(here)
            index += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while self._next("}"):
            self._pair(path)

    def _next(self, end: str) -> bool:
        """Go to the next element; False and past the end when there is none."""
        self._skip(_BLANKS)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANKS)
        if self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _skip(self, what: re.Pattern[str]) -> bool:
        """Pass over it; whether that is the end of the text."""
        found = what.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at >= len(self._text)

    def _put(self, path: Path, key: int, value: int) -> None:
        self.spots.setdefault(path, Spot(key, value))
