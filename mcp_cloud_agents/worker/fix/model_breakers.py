"""A breaker for each model: one that keeps failing is left alone by all jobs of this machine.

What is remembered names the model and how it failed, by status or kind of error; never what the
provider said, which may hold parts of a key.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcp_cloud_agents.domain.circuit import BreakerPolicy, LeftAlone
from mcp_cloud_agents.resilience.breaker import Breaker
from mcp_cloud_agents.storage.circuit_file import CircuitFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.domain.fix import ModelRoute

MODEL_POLICY = BreakerPolicy(failures=5, first_pause_s=30.0, trial_s=180.0)
"""Four candidates at once, each refused once in the same moment of overload, do not open it."""
TIMEOUT_WEIGHT = 3
"""A request that ran out of time took two minutes: the second one opens it."""


class ModelBreakers:
    """The breakers of one candidate's models. Threads may share it.

    Args:
        folder: where they are kept, see `storage/circuit_file.py`; empty: in memory alone.
        now: the wall clock.
    """

    def __init__(self, folder: str = "", now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._breakers: dict[str, Breaker] = {}
        self._told: dict[str, str] = {}
        self._lock = Lock()

    def of(self, route: ModelRoute) -> Breaker:
        """The one of a model; always the same object."""
        name = breaker_name(route)
        with self._lock:
            if name not in self._breakers:
                store = CircuitFile(self._folder, name) if self._folder else None
                self._breakers[name] = Breaker(MODEL_POLICY, self._now, store)
            return self._breakers[name]

    def refusal(self, route: ModelRoute) -> LeftAlone | None:
        """Why the model is left alone now, which `notes` tells from then on; None: ask it."""
        left = self.of(route).refusal()
        if left is not None:
            self._told[breaker_name(route)] = f"{route.model} was left alone: {left.told}."
        return left

    @property
    def notes(self) -> tuple[str, ...]:
        """What a result says of models that were not asked."""
        return tuple(f"The model {told}" for told in self._told.values())


def breaker_name(route: ModelRoute) -> str:
    """Provider, model and host, as people read it."""
    host = urlsplit(route.base_url).netloc.rpartition("@")[2]
    return f"model {route.provider} {route.model}" + (f" at {host}" if host else "")
