"""Limits that the kernel does not hold everywhere: memory and disk, looked at every 50 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.sandbox.bubblewrap_args import PRIVATE_TMPFS
from mcp_cloud_agents.sandbox.disk_watch import DiskWatch
from mcp_cloud_agents.sandbox.memory_watch import MemoryWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Limits


class Watchdog:
    """Looks at one running command.

    Args:
        limits: `memory_mib` of the whole process tree, `disk_mib` of growth.
        disk: host folders whose growth counts.
    """

    def __init__(self, limits: Limits, disk: Sequence[str]) -> None:
        self._memory = MemoryWatch(limits.memory_mib << 20, PRIVATE_TMPFS)
        self._disk = DiskWatch(disk, limits.disk_mib << 20)

    @property
    def peak_memory_mib(self) -> int:
        """The most memory seen at once, rather too much than too little."""
        return self._memory.peak_bytes >> 20

    def look(self, pids: Sequence[int]) -> CauseKind | None:
        """OOM or DISK when a limit is passed now, else None. Usually well under 1 ms."""
        if self._memory.over(pids):
            return CauseKind.OOM
        return CauseKind.DISK if self._disk.over(pids) else None
