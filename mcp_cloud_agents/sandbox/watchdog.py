"""Limits that the kernel does not hold everywhere: memory and disk, looked at every 50 ms."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.sandbox.disk_watch import DiskWatch
from mcp_cloud_agents.sandbox.processes import pss_bytes, rss_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Limits

_SPACING = 5.0
"""Between two exact counts, times what the last one took."""


class Watchdog:
    """Looks at one running command.

    Args:
        limits: `memory_mib` of the whole process tree, `disk_mib` of growth.
        disk: host folders whose growth counts.

    Attributes:
        peak_memory_mib: the most seen at once; shared pages counted once for each process, except
            near the limit, so it is rather too much than too little.
    """

    def __init__(self, limits: Limits, disk: Sequence[str]) -> None:
        self.peak_memory_mib = 0
        self._memory_bytes = limits.memory_mib << 20
        self._exact_at = 0.0
        self._disk = DiskWatch(disk, limits.disk_mib << 20)

    def look(self, pids: Sequence[int]) -> CauseKind | None:
        """OOM or DISK when a limit is passed now, else None. Usually well under 1 ms."""
        if self._memory_over(pids):
            return CauseKind.OOM
        return CauseKind.DISK if self._disk.over(pids) else None

    def _memory_over(self, pids: Sequence[int]) -> bool:
        used = sum(map(rss_bytes, pids))
        if used > self._memory_bytes:
            # Not yet too much: 250 forked Pythons of 10 MB, sharing all, read as 1 GiB.
            began_at = time.monotonic()
            if began_at < self._exact_at:
                return False
            used = sum(map(pss_bytes, pids))
            ended_at = time.monotonic()
            self._exact_at = ended_at + _SPACING * (ended_at - began_at)
        self.peak_memory_mib = max(self.peak_memory_mib, used >> 20)
        return used > self._memory_bytes
