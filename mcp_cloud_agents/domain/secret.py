"""Secrets by name: the table `[secrets]` of the person's file, and what a job carries of it.

Never a value: values are resolved where they are used, and stand in no specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

SecretReference = Annotated[
    str,
    Meta(
        pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$|^file:(/|~/).+$"
        r"|^aws-sm:[A-Za-z0-9/_+=.@:!-]{1,2048}(#[A-Za-z0-9_.-]{1,200})?$"
        r"|^aws-ssm:[A-Za-z0-9/_.:-]{1,2048}$"
    ),
]
"""`aws-sm:ID` or `aws-sm:ID#KEY` (a key of a JSON secret) and `aws-ssm:NAME`."""


class Phase(StrEnum):
    """Which commands of a job see a secret, as an environment variable."""

    SETUP = "setup"
    RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretTable:
    """One `[secrets.NAME]`; NAME is the variable that commands see."""

    source: SecretReference
    agents: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Subagents that get it: names, or patterns with `*`."""
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1)] = (Phase.RUN,)
    workspaces: tuple[str, ...] = ()
    """Patterns of worktrees' paths whose code may see it; empty: those that a person trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretGrant:
    """A secret that a job's commands get: its name and where it lies."""

    name: str
    source: str
    phases: tuple[Phase, ...]
