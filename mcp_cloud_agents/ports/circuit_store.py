"""Where what a breaker remembers is kept, so that others see it and a restart does not forget it.

The contract is in `tests/contracts/test_circuit_store.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.domain.circuit import CircuitRecord


class CircuitStore(Protocol):
    """One breaker's record. Any thread may ask; it never raises.

    A record that is damaged, or cannot be read, is none: the breaker is closed. One that cannot be
    written is remembered by this object as long as it lives.
    """

    def read(self) -> CircuitRecord:
        """What is remembered now."""
        ...

    def change(self, step: Callable[[CircuitRecord], CircuitRecord]) -> CircuitRecord:
        """Replace the record by what `step` makes of it, nobody else's change in between.

        Args:
            step: pure and quick; it may be given a record that another process has left.

        Returns:
            What is remembered now.
        """
        ...
