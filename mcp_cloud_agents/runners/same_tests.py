"""Whether two command lines run the same tests, whatever they print."""

from __future__ import annotations

import re
import shlex

_LOUDNESS = re.compile(r"-q+|-v+|--quiet|--verbose|--silent")
_PYTHON = re.compile(r"python3?")


def same_tests(one: str, other: str) -> bool:
    """True only where that is certain: they differ in how much they print, and in nothing else."""
    first, second = _words(one), _words(other)
    return first is not None and first == second


def _words(command: str) -> list[str] | None:
    try:
        words = shlex.split(command)
    except ValueError:  # an open quotation
        return None
    plain = [word for word in words if not _LOUDNESS.fullmatch(word)]
    return ["python3" if _PYTHON.fullmatch(word) else word for word in plain[:1]] + plain[1:]
