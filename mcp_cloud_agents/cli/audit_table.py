"""Entries of the audit as rows: a table in a terminal, tabs between the columns in a pipe."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.session import write
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.domain.rendering import render_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.ports.audit import Entry, Link

_HEADER = ("no", "at", "action", "job", "money", "who", "what")
_GAP, _LEAST = 2, 20


def show_links(links: Sequence[Link]) -> None:
    """Print them; times are those of this machine's clock."""
    rows = [_cells(link) for link in links]
    if not sys.stdout.isatty():
        write("".join("\t".join(row) + "\n" for row in rows))
        return
    rows = [_HEADER, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER) - 1)]
    room = max(_LEAST, shutil.get_terminal_size().columns - sum(widths) - _GAP * len(widths) - 1)
    for row in rows:
        cells = [cell.ljust(width + _GAP) for cell, width in zip(row, widths, strict=False)]
        what = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        write("".join((*cells, what)).rstrip() + "\n")


def _cells(link: Link) -> tuple[str, ...]:
    entry = link.entry
    cells = (
        str(link.number),
        _when(entry.at),
        entry.action,
        entry.job_id or "-",
        _money(entry),
        "@".join(part for part in (entry.actor.os_user, entry.actor.client) if part) or "-",
        _what(entry),
    )
    return tuple(" ".join(render_text(cell).split()) for cell in cells)


def _when(at: float) -> str:
    try:
        return datetime.fromtimestamp(at).astimezone().isoformat(" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):  # entries are shown unchecked
        return str(at)


def _money(entry: Entry) -> str:
    if entry.actual_micros is not None:
        return f"${usd(entry.actual_micros)} spent"
    return "-" if entry.worst_micros is None else f"at most ${usd(entry.worst_micros)}"


def _what(entry: Entry) -> str:
    parts = (
        entry.agent,
        entry.backend and f"on {entry.backend}",
        entry.rule and f"rule {entry.rule}:",
        entry.reason,
        *(f"{name}={value}" for name, value in entry.details),
    )
    return " ".join(part for part in parts if part)
