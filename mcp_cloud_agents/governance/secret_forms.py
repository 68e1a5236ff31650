"""The forms in which a secret's value shows in output, each as one needle to look for.

    value ─ as it is · URL · JSON · XML · repr and shell quoting · hexadecimal · base64 (3 offsets)
          └ each line of a value of several lines; what a JSON value keeps under telling names

A needle is in lower case and without blanks: what is searched is made the same, so a value is found
in any case, and wherever a line break, an indent or a colour was put into it. Not looked for:
reversed, compressed, encrypted or encoded in another way, and UTF-16.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST = 6
"""Characters, blanks not counted; a shorter value would take ordinary words out."""
_SHORTEST_LINE = 16
"""Of a value of several lines; shorter ones are ordinary text too often."""
_BLANKS = bytes(range(0x21)) + b"\x7f"
_TELLING = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
_MARKER = "-----"
_MOST_DEPTH = 8


def squeezed(data: bytes) -> bytes:
    """In lower case, without blanks and control characters."""
    return data.translate(None, _BLANKS).lower()


def can_be_found(value: str) -> bool:
    """Whether a value is long enough to be taken out of output."""
    return len(squeezed(_encoded(value))) >= SHORTEST


def needles(values: Iterable[str]) -> tuple[bytes, ...]:
    """All forms of these values, squeezed, the longest first; of too short values there is none."""
    parts = {part for value in values for part in _parts(value)}
    found = {squeezed(_encoded(form)) for part in parts for form in _forms(part)}
    return tuple(sorted((one for one in found if len(one) >= SHORTEST), key=_by_length))


def _by_length(needle: bytes) -> tuple[int, bytes]:
    return -len(needle), needle


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _parts(value: str) -> Iterator[str]:
    """The value, and what of it may show alone."""
    whole = value.strip()
    yield whole
    lines = [line.strip() for line in whole.splitlines()]
    if len(lines) > 1:
        long = (line for line in lines if len(line) >= _SHORTEST_LINE)
        yield from (line for line in long if not line.startswith(_MARKER))
    if whole.startswith("{"):
        yield from _told_in(whole)


def _told_in(value: str) -> Iterator[str]:
    try:
        found: Any = json.loads(value)
    except (ValueError, RecursionError):
        return
    yield from _telling(found, 0)


def _telling(value: Any, depth: int) -> Iterator[str]:
    """Texts under names such as `password`, at any depth."""
    if not isinstance(value, dict) or depth > _MOST_DEPTH:
        return
    for name, one in cast("dict[str, Any]", value).items():
        if isinstance(one, str) and _TELLING.search(name):
            yield one
        yield from _telling(one, depth + 1)


def _forms(value: str) -> Iterator[str]:
    encoded = _encoded(value)
    yield value
    yield from (quote(encoded, safe=""), quote_plus(encoded), quote(encoded))
    for text in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield from (text, text.replace("/", "\\/"))
    for text in (html.escape(value), html.escape(value, quote=False)):
        yield from (text, text.replace("&#x27;", "&#39;"), text.replace("&#x27;", "&apos;"))
    yield from (repr(value)[1:-1], ascii(value)[1:-1])
    yield from (shlex.quote(value).strip("'"), value.replace("'", "'\\''"))
    yield encoded.hex()
    yield from _in_base64(encoded)


def _in_base64(value: bytes) -> Iterator[str]:
    """What of the value's base64 does not depend on its neighbours, at each of three offsets."""
    for offset in range(3):
        padded = b"\0" * offset + value
        first, end = -(-8 * offset // 6), 8 * len(padded) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded).decode()[first:end]
