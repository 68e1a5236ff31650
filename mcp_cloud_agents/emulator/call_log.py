"""What was called, when, and how it was answered, so that calls can be counted."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 200_000


@dataclass(frozen=True, slots=True)
class Logged:
    """One call; `at` in seconds since 1970, `status` 0 when the connection was dropped.

    `access_key` tells callers apart; empty for a request that nobody signed.
    """

    at: float
    service: str
    action: str
    status: int
    took_ms: float
    fault: str | None = None
    access_key: str = ""


class CallLog:
    """The last calls, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Logged] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def add(self, call: Logged) -> None:
        """One more."""
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._calls.clear()

    def seen(self, service: str | None = None, action: str | None = None) -> list[Logged]:
        """Those of a service and action; None is any."""
        with self._lock:
            calls = list(self._calls)
        return [
            one for one in calls if service in (None, one.service) and action in (None, one.action)
        ]

    def told(self, service: str | None, action: str | None) -> dict[str, Any]:
        """As JSON: the calls, and their number by `service:action`."""
        calls = self.seen(service, action)
        counts = Counter(f"{one.service}:{one.action}" for one in calls)
        return {"calls": [asdict(one) for one in calls], "counts": dict(sorted(counts.items()))}
