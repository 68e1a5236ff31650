"""What a check of `doctor` found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool
    said: str
    remedy: str = ""
    """What to do; shown when it is not ok."""
