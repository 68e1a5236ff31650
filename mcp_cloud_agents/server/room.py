"""Keeping answers within 8,000 characters: what is cut, in which order, and that it is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.server.answers import MAX_CHARS

if TYPE_CHECKING:
    from mcp_cloud_agents.server.answers import JobAnswer

_TAIL_CHARS = 800
"""Room kept for the end of the log, however much else there is."""
_NOTE_CHARS = 300
_MARK = "…"


def json_chars(text: str) -> int:
    """How many characters `text` takes between the quotes of a JSON string."""
    return len(json.dumps(text, ensure_ascii=False)) - 2


def cut(text: str, chars: int) -> str:
    """`text` made harmless, in at most `chars` characters of JSON; a cut shows as `…`."""
    safe = render_text(text[: 2 * chars + MAX_CHARS])
    if json_chars(safe) <= chars:
        return safe
    kept = safe[: chars - 1]
    while json_chars(kept) > chars - 1:
        kept = kept[: max(0, len(kept) - max(1, (json_chars(kept) - chars + 1) // 2))]
    return kept + _MARK


def cut_front(text: str, chars: int) -> str:
    """The same, keeping the end."""
    return cut(render_text(text)[::-1], chars)[::-1]


def one_line(text: str, chars: int) -> str:
    """`text` made harmless, on one line; of a long one both ends, and how much is not shown.

    The end is shown because whoever wants to hide something puts it after a long beginning.
    """
    if len(text) <= chars:
        return _flat(text)
    half = chars // 2
    hidden = len(text) - 2 * half
    return f"{_flat(text[:half])} [{hidden} characters are not shown] {_flat(text[-half:])}"


def _flat(text: str) -> str:
    return render_text(text).strip().replace("\n", " ⏎ ").replace("\t", " ")


def within(texts: list[str], chars: int) -> list[str]:
    """The first of `texts` whose JSON strings take at most `chars` characters together."""
    room, kept = chars, list[str]()
    for text in texts:
        room -= json_chars(text) + len('"",')
        if room < 0:
            break
        kept.append(text)
    return kept


def fit(answer: JobAnswer) -> None:
    """Shorten the lists of an answer until there is room for a log tail, least needed first.

    A note says how many entries of what were left out. What is no list is bounded where it is
    made, so this always succeeds.
    """
    shown = _lists(answer)
    before = {what: len(entries) for what, entries in shown.items()}
    for what, entries in shown.items():
        del entries[_MOST[what] :]
    for entries in shown.values():
        while entries and over(answer) + _NOTE_CHARS > 0:
            del entries[len(entries) // 2 :]
    left_out = [
        f"{before[what] - len(entries)} {what}"
        for what, entries in shown.items()
        if len(entries) < before[what]
    ]
    if left_out:
        answer.notes = [*(answer.notes or []), f"Left out for brevity: {', '.join(left_out)}."]


_MOST = {
    "isolation notes": 5,
    "tree warnings": 5,
    "notes": 5,
    "artifacts": 10,
    "candidates": 8,
    "arbiter's steps": 8,
    "put-back paths": 10,
    "suspicious lines": 10,
    "mended tests": 20,
    "sensitive paths": 15,
    "refused paths": 15,
    "changed paths": 15,
    "excerpt lines": 20,
}
"""How many entries of each list are shown at most; the order is that of `fit`."""


def _lists(answer: JobAnswer) -> dict[str, list[Any]]:
    isolation, tree, patch, error = answer.isolation, answer.tree, answer.patch, answer.error
    evidence = answer.fix.evidence if answer.fix else None
    found: dict[str, list[Any] | None] = {
        "isolation notes": isolation.notes if isolation else None,
        "tree warnings": tree.warnings if tree else None,
        "notes": answer.notes,
        "artifacts": answer.artifacts,
        "candidates": answer.fix.candidates if answer.fix else None,
        "arbiter's steps": answer.fix.choice if answer.fix else None,
        "put-back paths": evidence.put_back if evidence else None,
        "suspicious lines": evidence.suspicious if evidence else None,
        "mended tests": evidence.mended if evidence else None,
        "sensitive paths": patch.sensitive if patch else None,
        "refused paths": patch.refused if patch else None,
        "changed paths": patch.paths if patch else None,
        "excerpt lines": error.excerpt if error else None,
    }
    return {what: found[what] or [] for what in _MOST}


def over(answer: JobAnswer) -> int:
    """How many characters must go so that the end of the log has room."""
    return len(answer.model_dump_json(exclude_none=True)) + _TAIL_CHARS - MAX_CHARS
