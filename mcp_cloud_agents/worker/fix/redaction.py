"""Secrets taken out of what is written: known values in usual encodings, and what looks like one.

Known values are the keys that a process holds. Patterns are for keys of others that stand in files
or in output. Matching is on text; a value that was compressed or encrypted is not found.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

REDACTED = "[redacted]"
_SHORTEST = 6
"""Characters; a shorter value would take ordinary words out."""
_BEGIN, _END = "-----BEGIN ", "-----END "
_PRIVATE = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_BLOCK_CHARS = 16_384
"""Longest private key; what says it is one and never ends takes no more than this with it."""
_BLOCK = re.compile(
    rf"{_BEGIN}{_PRIVATE}(?:.{{0,{_BLOCK_CHARS}}}?{_END}{_PRIVATE}|.{{0,{_BLOCK_CHARS}}})",
    re.DOTALL,
)
_OPENED = re.compile(rf"{_BEGIN}{_PRIVATE}(?!.*{_END}{_PRIVATE})", re.DOTALL)
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


class Redactor:
    """Replaces secrets by `[redacted]`.

    Args:
        secrets: known values; those under six characters are left alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({one.strip() for one in secrets if len(one.strip()) >= _SHORTEST})
        self._known = _any_of(known)
        self.longest = max((len(pattern) for one in known for pattern in _plain(one)), default=0)
        """Characters that the longest form of a known value has at least."""

    def known(self, text: str) -> str:
        """Replace known values only: for text that a model works on, where a look-alike matters."""
        return text if self._known is None else self._known.sub(REDACTED, text)

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


class RedactedLines:
    """Redacts a stream: text goes to `sink` in whole lines, so no chunk's end splits a secret.

    Args:
        redactor: what to replace.
        sink: gets harmless text.
        longest: characters of a line that are waited for; of a longer one the tail is held back.
    """

    def __init__(
        self, redactor: Redactor, sink: Callable[[str], None], *, longest: int = 65_536
    ) -> None:
        self._redactor = redactor
        self._sink = sink
        self._longest = longest
        self._held = ""

    def feed(self, text: str) -> None:
        """Take the next piece."""
        self._held += text
        if (opened := _OPENED.search(self._held)) is not None:
            # A private key goes over many lines: what stands before it is out, the rest waits.
            self._give(opened.start())
            if len(self._held) > _BLOCK_CHARS + 100:
                self._give(len(self._held))
            return
        self._give(self._held.rfind("\n") + 1)
        if len(self._held) > self._longest:
            tail = max(self._redactor.longest, 512)
            safe = self._redactor.text(self._held)
            self._sink(safe[:-tail])
            self._held = safe[-tail:]

    def close(self) -> None:
        """Give out what is left."""
        self._give(len(self._held))

    def _give(self, end: int) -> None:
        if end > 0:
            self._sink(self._redactor.text(self._held[:end]))
            self._held = self._held[end:]


def _any_of(secrets: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern for any form of any of them, the longest first."""
    plain = {re.escape(form) for one in secrets for form in _plain(one)}
    wrapped = {_wrapped(form) for one in secrets for form in _in_base64(one)}
    forms = sorted(plain | wrapped, key=len, reverse=True)
    return re.compile("|".join(forms)) if forms else None


def _plain(secret: str) -> set[str]:
    """The value as it is, in a URL, in JSON, and as hexadecimal digits."""
    encoded = secret.encode()
    urls = {quote(secret, safe=""), quote_plus(secret), quote(secret)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), url) for url in urls}
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, *urls, *lower, *in_json, encoded.hex(), encoded.hex().upper()}


def _in_base64(secret: str) -> set[str]:
    """What of the value's base64 does not depend on its neighbours, at each of three offsets."""
    forms: set[str] = set()
    for offset in range(3):
        padded = b"\0" * offset + secret.encode()
        first, end = -(-8 * offset // 6), 8 * len(padded) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(padded).decode()[first:end])
    return forms


def _wrapped(form: str) -> str:
    """A pattern that finds base64 also where a line break was put into it."""
    return r"(?:\r?\n)?".join(re.escape(char) for char in form)
