"""A question to a person at the terminal that this process belongs to, and to nobody else.

stdin and stdout may be pipes of a program, so neither is used. A program that has no terminal
cannot answer; one that makes itself a terminal can, as it can do all that the person can.
"""

from __future__ import annotations

import os
import termios

from mcp_cloud_agents.domain.errors import NotAllowed
from mcp_cloud_agents.settings import variables

_TERMINAL = "/dev/tty"
_YES = ("y", "yes")
_MAX_BYTES = 1_024
_AGENTS = ("CLAUDECODE", "AI_AGENT", "CODEX_SANDBOX", "CODEX_THREAD_ID", "GEMINI_CLI")
"""Variables that coding agents set in the shells that they run commands in.

`CODEX_SANDBOX` is of macOS alone; Codex sets `CODEX_THREAD_ID` everywhere.
"""
_HINT = "Run the same command yourself in a terminal."


def agrees(shown: str, question: str) -> bool:
    """Show a text and ask; only `y` or `yes` agrees.

    What was typed before the question was seen is thrown away.

    Raises:
        NotAllowed: there is no terminal to ask at, another program has it, or an agent runs us.
    """
    check_no_agent()
    try:
        fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as exc:
        raise NotAllowed(
            "Only a person at a terminal can agree to this, and there is no terminal here.",
            hint=_HINT,
        ) from exc
    try:
        if os.tcgetpgrp(fd) != os.getpgrp():
            raise NotAllowed("Another program has the terminal here.", hint=_HINT)
        _say(fd, shown)
        termios.tcflush(fd, termios.TCIFLUSH)
        _say(fd, f"{question} [y/N] ")
        answer = os.read(fd, _MAX_BYTES)
    finally:
        os.close(fd)
    return answer.decode(errors="replace").strip().lower() in _YES


def check_no_agent() -> None:
    """Refuse in the shell of an agent. It could unset the variable: this is a rail, not a wall.

    Raises:
        NotAllowed: such a shell runs us.
    """
    if found := sorted(variables(_AGENTS)):
        raise NotAllowed(f"This is the shell of an agent ({found[0]} is set).", hint=_HINT)


def _say(fd: int, text: str) -> None:
    view = memoryview(text.encode(errors="backslashreplace"))
    while view:
        view = view[os.write(fd, view) :]
