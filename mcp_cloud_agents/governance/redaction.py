"""Secrets taken out of what is written: known values in usual encodings, and what looks like one.

Known values are secrets and keys that a process holds; in which forms they are found is in
`secret_forms`. Patterns are for keys of others that stand in files or in output.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mcp_cloud_agents.governance.secret_forms import needles, squeezed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

T = TypeVar("T")
REDACTED = "[redacted]"
_MARK = REDACTED.encode()
_ESC = b"\x1b"
_BLANK = re.compile(rb"[\x00-\x20\x7f]+")
# Of colours and the like. The text of an operating system command stays: a value may be in there.
_ANSI = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[@-Z\\\]^_])")
_COLOURED = re.compile(rb"(?:" + _ANSI.pattern + rb"|[\x00-\x20\x7f])+")
_CUT_SHORT = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8})?\Z")
_HEAD = 8
_BEGIN, _END = "-----BEGIN ", "-----END "
_PRIVATE = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_BLOCK_CHARS = 16_384
"""Longest private key; what says it is one and never ends takes no more than this with it."""
_BLOCK = re.compile(
    rf"{_BEGIN}{_PRIVATE}(?:.{{0,{_BLOCK_CHARS}}}?{_END}{_PRIVATE}|.{{0,{_BLOCK_CHARS}}})",
    re.DOTALL,
)
_LABELLED = re.compile(
    r"(?i)((?:authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+"
    r"|x-api-key[\"']?\s*[:=]\s*[\"']?"
    r"|aws_(?:secret_access_key|session_token)[\"']?\s*[:=]\s*[\"']?))[^\s\"',;]{6,}"
)
_IN_URL = re.compile(r"(://[^/\s:@]{1,200}:)[^/\s@]{1,500}(?=@)")
_KEYS = re.compile(
    r"\b(?:"
    r"sk-[A-Za-z0-9_-]{16,}"  # Anthropic, OpenAI, OpenRouter
    r"|(?:AKIA|ASIA|ABIA)[0-9A-Z]{16}\b"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|AIza[0-9A-Za-z_-]{35}"  # Google
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"  # JSON web tokens
    r")"
)
Span = tuple[int, int]


class Redactor:
    """Replaces secrets by `[redacted]`.

    Args:
        secrets: known values; those under six characters are left alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._needles = needles(secrets)
        self._by_first: dict[int, list[bytes]] = {}
        for needle in self._needles:
            self._by_first.setdefault(needle[0], []).append(needle)
        self.longest = len(self._needles[0]) if self._needles else 0
        """Bytes of the longest form of a known value, blanks not counted."""

    def known(self, text: str) -> str:
        """Replace known values only: for text that a model works on, where a look-alike matters."""
        if not self._needles:
            return text
        data = text.encode("utf-8", "surrogatepass")
        safe = self.raw(data)
        return text if safe is data else safe.decode("utf-8", "surrogatepass")

    def raw(self, data: bytes) -> bytes:
        """The same for bytes; the very same object where nothing is found."""
        return without(data, self.spans(data))

    def text(self, text: str) -> str:
        """Replace known values and what looks like a key: for all that is kept or shown."""
        safe = _BLOCK.sub(REDACTED, self.known(text))
        safe = _LABELLED.sub(rf"\1{REDACTED}", safe)
        return _KEYS.sub(REDACTED, _IN_URL.sub(rf"\1{REDACTED}", safe))

    def data(self, value: Any) -> Any:
        """The same for JSON-like data: each string in it, keys of mappings too."""
        match value:
            case str():
                return self.text(value)
            case bytes() | bytearray():
                return self.text(bytes(value).decode("utf-8", "replace"))
            case dict():
                items = cast("Mapping[Any, Any]", value).items()
                return {self.data(key): self.data(one) for key, one in items}
            case list() | tuple():
                return [self.data(one) for one in cast("Sequence[Any]", value)]
            case _:
                return value

    def value(self, value: T) -> T:
        """A frozen dataclass, or a tuple of them, with known values out of all its texts."""
        return value if not self._needles else cast("T", self._value(value))

    def _value(self, value: Any) -> Any:
        match value:
            case Enum():
                return value
            case str():
                return self.known(value)
            case tuple():
                return tuple(self._value(one) for one in cast("tuple[Any, ...]", value))
            case _ if is_dataclass(value) and not isinstance(value, type):
                names = (one.name for one in fields(value))
                return replace(value, **{name: self._value(getattr(value, name)) for name in names})
            case _:
                return value

    def spans(self, data: bytes) -> list[Span]:
        """Where known values stand, in order, without overlaps."""
        if not self._needles:
            return []
        found = self._seen(data, _BLANK, squeezed(data))
        if _ESC in data:
            found += self._seen(data, _COLOURED, squeezed(_ANSI.sub(b"", data)))
        return _merged(found)

    def open_from(self, data: bytes) -> int:
        """Where a known value may begin whose end is still to come; else the length of `data`."""
        size = 4 * max(self.longest, 256)
        tail = data[-size:]
        while len(tail) < len(data) and len(squeezed(_ANSI.sub(b"", tail))) < self.longest:
            size *= 4  # nearly all of it is skipped
            tail = data[-size:]
        skips = (_BLANK, _COLOURED) if _ESC in tail else (_BLANK,)
        return len(data) - len(tail) + min(self._open(tail, skip) for skip in skips)

    def _open(self, data: bytes, skip: re.Pattern[bytes]) -> int:
        whole = _CUT_SHORT.sub(b"", data) if skip is _COLOURED else data
        view = _View(whole, skip)
        text = view.text
        for start in range(max(0, len(text) - self.longest + 1), len(text)):
            left = len(text) - start
            for needle in self._by_first.get(text[start], ()):
                if (
                    len(needle) > left
                    and text.startswith(needle[: min(_HEAD, left)], start)
                    and needle.startswith(text[start:])
                ):
                    return view.span(start, start + 1)[0]
        return len(data)

    def _seen(self, data: bytes, skip: re.Pattern[bytes], text: bytes) -> list[Span]:
        here = [needle for needle in self._needles if needle in text]
        if not here:
            return []
        view = _View(data, skip)
        found = list[Span]()
        for needle in here:
            at = view.text.find(needle)
            while at >= 0:
                found.append(view.span(at, at + len(needle)))
                at = view.text.find(needle, at + 1)
        return found


class _View:
    """Data without what is skipped, in lower case, and where each byte of that came from."""

    def __init__(self, data: bytes, skip: re.Pattern[bytes]) -> None:
        pieces, self._starts, self._origins = list[bytes](), [0], [0]
        size, at = 0, 0
        for gap in skip.finditer(data):
            pieces.append(data[at : gap.start()])
            size, at = size + gap.start() - at, gap.end()
            self._starts.append(size)
            self._origins.append(at)
        pieces.append(data[at:])
        self.text = b"".join(pieces).lower()

    def span(self, start: int, end: int) -> Span:
        """The same part of the data; it is not empty."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, at: int) -> int:
        run = bisect_right(self._starts, at) - 1
        return self._origins[run] + at - self._starts[run]


NOTHING = Redactor()
"""Knows no value."""


def without(data: bytes, spans: Sequence[Span]) -> bytes:
    """`data` with a mark in the place of each span; the very same object where there is none."""
    if not spans:
        return data
    pieces, at = list[bytes](), 0
    for start, end in spans:
        pieces += (data[at:start], _MARK)
        at = end
    pieces.append(data[at:])
    return b"".join(pieces)


def _merged(spans: list[Span]) -> list[Span]:
    merged = list[Span]()
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
