"""The table `[limits]` of the person's file, in the units that people think in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from mcp_cloud_agents.domain.sandbox import Limits

_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitKnobs:
    """What a job may use when it does not say less."""

    timeout_minutes: Annotated[float, Meta(gt=0, le=1_440)] = _LIMITS.timeout_s / 60
    setup_timeout_minutes: Annotated[float, Meta(gt=0, le=1_440)] = _LIMITS.setup_timeout_s / 60
    memory_mib: Annotated[int, Meta(ge=64)] = _LIMITS.memory_mib
    processes: Annotated[int, Meta(ge=8)] = _LIMITS.processes
    disk_mib: Annotated[int, Meta(ge=64)] = _LIMITS.disk_mib
    tmp_mib: Annotated[int, Meta(ge=16)] = _LIMITS.tmp_mib
    open_files: Annotated[int, Meta(ge=64)] = _LIMITS.open_files
    log_mib: Annotated[int, Meta(ge=1, le=1_024)] = _LIMITS.log_bytes >> 20

    def limits(self) -> Limits:
        """The same in the units of the sandbox."""
        return Limits(
            timeout_s=max(1, round(self.timeout_minutes * 60)),
            setup_timeout_s=max(1, round(self.setup_timeout_minutes * 60)),
            memory_mib=self.memory_mib,
            processes=self.processes,
            disk_mib=self.disk_mib,
            tmp_mib=self.tmp_mib,
            open_files=self.open_files,
            log_bytes=self.log_mib << 20,
        )
