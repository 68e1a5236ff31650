"""The part of `doctor` about places and models that are left alone as they kept failing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.finding import Finding
from mcp_cloud_agents.domain.circuit import BreakerPolicy, Circuit, at_text, circuit_of
from mcp_cloud_agents.domain.rendering import counted
from mcp_cloud_agents.storage.circuit_file import circuit_path, circuits_in
from mcp_cloud_agents.storage.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.settings import Settings
    from mcp_cloud_agents.storage.circuit_file import NamedCircuit

_NAME = "breaker"


def breakers(settings: Settings, now: float) -> list[Finding]:
    """A row for each breaker that is not closed.

    Args:
        settings: name the state folder.
        now: seconds since the epoch.
    """
    folder = StateFolder(settings.state_dir).breakers
    return [row for one in circuits_in(folder) for row in _rows(one, folder, now)]


def _rows(one: NamedCircuit, folder: str, now: float) -> Iterator[Finding]:
    record = one.record
    circuit = circuit_of(record, BreakerPolicy(), now)
    if circuit is Circuit.CLOSED:
        return
    is_open = circuit is Circuit.OPEN
    until = f"left alone until {at_text(record.until)}" if is_open else "the next call tries it"
    yield Finding(
        name=_NAME,
        ok=not is_open,
        said=f"{one.name}: {circuit.replace('_', ' ')} since {at_text(record.since)}, {until}; "
        f"{counted(record.failures, 'failure')} in a row, the last: {record.why}",
        remedy="Mend what it says: it is tried again by itself. When that is done, remove "
        f"{circuit_path(folder, one.name)} to try it at once.",
    )
