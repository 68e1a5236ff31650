"""Tables as Markdown, and the page that keeps them between markers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a topic measured."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    """Sentences below the table: targets against what was measured."""

    def markdown(self, when: str) -> str:
        """The table as the page shows it; `when` names date, machine and load."""
        lines = [_line(self.columns), "|---" + "|---:" * (len(self.columns) - 1) + "|"]
        lines += [_line(row) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes), f"- {when}"]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def verdict(what: str, measured: str, target: str, *, met: bool) -> str:
    """One target against what was measured."""
    return f"{what}: **{measured}**, target {target}: {'met' if met else '**missed**'}."


def keep(topic: str, text: str) -> None:
    """Put a table into the page between its markers.

    Raises:
        ValueError: the page has no place for this topic.
    """
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {topic}: begin -->", f"<!-- {topic}: end -->"
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"docs/benchmarks.md has no markers for {topic}")
    kept = place.sub(lambda _: f"{begin}\n{text}\n{end}", page)
    PAGE.write_text(kept, encoding="utf-8")
