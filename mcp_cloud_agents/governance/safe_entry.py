"""An entry of the audit made safe to keep and to show: redacted, rendered, cut."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.rendering import render_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.ports.audit import Entry

MAX_CHARS = 500
"""Of a text."""
MAX_ACTOR_CHARS = 200
MAX_ITEMS = 50
"""Details of an entry, and items of a list of facts; the rest is counted."""


def safe_entry(entry: Entry, redact: Callable[[str], str]) -> Entry:
    """The entry without secrets, escape sequences and control characters, each text cut.

    Facts stay JSON: the texts in them are cut, not the whole.

    Args:
        entry: what happened.
        redact: takes secrets out of a text, as `governance.redaction.Redactor.text` does.
    """

    def safe(text: str, most: int = MAX_CHARS) -> str:
        # Twice: an escape sequence could split a secret, and rendering could change one.
        plain = redact(render_text(redact(_encodable(text))))
        return plain if len(plain) <= most else f"{plain[: most - 1]}…"

    texts = {
        one.name: safe(value)
        for one in fields(entry)
        if one.name != "facts" and type(value := getattr(entry, one.name)) is str
    }
    actor = {
        one.name: safe(getattr(entry.actor, one.name), MAX_ACTOR_CHARS) for one in fields(Actor)
    }
    return replace(
        entry,
        **cast("dict[str, Any]", texts),
        actor=Actor(**actor),
        facts=_facts(entry.facts, safe),
        details=_details(entry.details, safe),
    )


def _encodable(text: str) -> str:
    """Without lone surrogates, of names that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _details(
    details: tuple[tuple[str, str], ...], safe: Callable[[str], str]
) -> tuple[tuple[str, str], ...]:
    kept = tuple((safe(name), safe(value)) for name, value in details[:MAX_ITEMS])
    left_out = len(details) - len(kept)
    return (*kept, ("left_out", str(left_out))) if left_out else kept


def _facts(facts: str, safe: Callable[[str], str]) -> str:
    try:
        found: object = msgspec.json.decode(facts)
    except msgspec.DecodeError:
        return safe(facts)
    return msgspec.json.encode(_safe_data(found, safe)).decode()


def _safe_data(data: object, safe: Callable[[str], str]) -> object:
    match data:
        case str():
            return safe(data)
        case list():
            items = cast("list[object]", data)
            kept = [_safe_data(one, safe) for one in items[:MAX_ITEMS]]
            left_out = len(items) - len(kept)
            return [*kept, f"{left_out} more"] if left_out else kept
        case dict():
            pairs = list(cast("dict[str, object]", data).items())[:MAX_ITEMS]
            return {safe(name): _safe_data(value, safe) for name, value in pairs}
        case _:
            return data
