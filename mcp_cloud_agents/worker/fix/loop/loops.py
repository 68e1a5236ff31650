"""A model that repeats itself: the same call with the same result, again and again.

The result belongs to the key, and a new edit clears the counts: five edits after each of which a
test fails the same way are work, five equal answers to an equal question are a loop. Two calls in
turn (A B A B …) are caught by the same counts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

ADVISE_AT = 3
STOP_AT = 5
_EDITS = frozenset({"edit_file", "write_file"})


class Looping(Exception):
    """The same call had the same result five times.

    Attributes:
        tool: its name.
        message: one sentence.
    """

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.message = f"The model called {tool} {STOP_AT} times with the same result."
        super().__init__(self.message)


class Loops:
    """Counts equal calls of one run."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def advice(self, tool: str, args: Any, result: str) -> str:
        """Count a call; gives what to tell the model, mostly nothing.

        Raises:
            Looping: it is time to stop.
        """
        key = _key(tool, args, result)
        if tool in _EDITS and key not in self._seen:
            self._seen.clear()
        self._seen[key] += 1
        count = self._seen[key]
        if count >= STOP_AT:
            raise Looping(tool)
        if count < ADVISE_AT:
            return ""
        return f"[same call, same result {count} times: try something else, or submit]"


def _key(tool: str, args: Any, result: str) -> str:
    call = json.dumps([tool, args, result], sort_keys=True, default=str)
    return hashlib.sha256(call.encode("utf-8", "surrogatepass")).hexdigest()
