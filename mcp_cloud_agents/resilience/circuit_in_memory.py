"""A breaker's record that lives as long as its process."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.circuit import CircuitRecord

if TYPE_CHECKING:
    from collections.abc import Callable


class CircuitInMemory:
    """`ports.circuit_store.CircuitStore` for one process."""

    def __init__(self) -> None:
        self._record = CircuitRecord()
        self._lock = Lock()

    def read(self) -> CircuitRecord:
        """See the port."""
        return self._record

    def change(self, step: Callable[[CircuitRecord], CircuitRecord]) -> CircuitRecord:
        """See the port."""
        with self._lock:
            self._record = step(self._record)
            return self._record
