"""What a stack frame looks like in Python's own tracebacks and in pytest's."""

from __future__ import annotations

import re

PATTERNS = (
    re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)'),
    re.compile(r"^(?P<path>[^\s:][^:]*):(?P<line>\d+): "),
)
