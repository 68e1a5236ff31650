"""A question to a person at the terminal that this process belongs to, and to nobody else.

stdin and stdout may be pipes of a program, so neither is used. A program that has no terminal
cannot answer; one that makes itself a terminal can, as it can do all that the person can.
"""

from __future__ import annotations

import os
import termios

from mcp_cloud_agents.domain.errors import NotAllowed

_TERMINAL = "/dev/tty"
_YES = ("y", "yes")
_MAX_BYTES = 1_024


def agrees(shown: str, question: str) -> bool:
    """Show a text and ask; only `y` or `yes` agrees.

    What was typed before the question was seen is thrown away.

    Raises:
        NotAllowed: there is no terminal to ask at.
    """
    try:
        fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as exc:
        raise NotAllowed(
            "Only a person at a terminal can agree to this, and there is no terminal here.",
            hint="Run the same command yourself in a terminal.",
        ) from exc
    try:
        _say(fd, shown)
        termios.tcflush(fd, termios.TCIFLUSH)
        _say(fd, f"{question} [y/N] ")
        answer = os.read(fd, _MAX_BYTES)
    finally:
        os.close(fd)
    return answer.decode(errors="replace").strip().lower() in _YES


def _say(fd: int, text: str) -> None:
    view = memoryview(text.encode(errors="backslashreplace"))
    while view:
        view = view[os.write(fd, view) :]
