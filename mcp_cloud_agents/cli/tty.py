"""The terminal that a person sits at, whatever stdin and stdout are."""

from __future__ import annotations

import os
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import NotAllowed
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.settings import variables

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_TERMINAL = "/dev/tty"
_AGENTS = ("CLAUDECODE", "AI_AGENT", "CODEX_SANDBOX")
"""Variables that coding agents set in the shells that they run commands in."""
_HINT = "A person runs it in a terminal of their own."
_MOST = 1_024


class NoPerson(NotAllowed):
    """There is no terminal with a person at it."""


def agree(rows: Sequence[tuple[str, str]], ask: str) -> bool:
    """Show what it is about and read a typed answer; only `y` and `yes` are a yes.

    Raises:
        NoPerson: no terminal is there, it is in somebody else's hands, or an agent's shell runs us.
    """
    if found := sorted(variables(_AGENTS)):
        raise NoPerson(f"This is the shell of an agent ({found[0]} is set).", hint=_HINT)
    with _person() as terminal:
        shown = "".join(_row(label, text) for label, text in rows)
        _write(terminal, f"{shown}\n{ask} [y/N] ")
        termios.tcflush(terminal, termios.TCIFLUSH)  # typed before it was shown: no answer to it
        typed = os.read(terminal, _MOST).decode(errors="replace")
    return typed.strip().casefold() in ("y", "yes")


@contextmanager
def _person() -> Generator[int]:
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as exc:
        raise NoPerson("There is no terminal to ask a person in.", hint=_HINT) from exc
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            raise NoPerson("Another program has the terminal: this one is its helper.", hint=_HINT)
        yield terminal
    finally:
        os.close(terminal)


def _row(label: str, text: str) -> str:
    return f"{label:<10}{render_text(text)}\n".replace("\n", "\n" + " " * 10).rstrip(" ")


def _write(terminal: int, text: str) -> None:
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(terminal, data) :]
