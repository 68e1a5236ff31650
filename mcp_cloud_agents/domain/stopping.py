"""What one step of stopping or resuming everything did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; the next ones are made whatever came of it."""

    said: str
    """What was done: one line."""
    problem: str = ""
    """Why it could not be done; empty: it was."""
    hint: str = ""
