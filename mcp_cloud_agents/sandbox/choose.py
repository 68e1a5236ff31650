"""Which sandbox works here and is strong enough. Probed, never inferred; never silently weaker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import too_weak
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.ports.sandbox import Sandbox


def drivers(*, job_uid: int | None = None) -> tuple[Sandbox, ...]:
    """The drivers for this platform, strongest first.

    Args:
        job_uid: host user of commands when this process is root; None: the usual one.
    """
    if sys.platform == "darwin":
        from mcp_cloud_agents.sandbox.seatbelt import Seatbelt

        return (Seatbelt(),)
    from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap

    return (Bubblewrap(job_uid=job_uid),)


def drivers_of(level: IsolationLevel, *, job_uid: int | None = None) -> tuple[Sandbox, ...]:
    """The drivers that give this level, for a process that works in a job's isolation.

    Args:
        level: of the job.
        job_uid: host user of commands when this process is root; None: the usual one.
    """
    if level is IsolationLevel.CONTAINER:
        from mcp_cloud_agents.sandbox.uid_drop import UidDrop

        return (UidDrop(),)
    return tuple(one for one in drivers(job_uid=job_uid) if one.level is level)


def choose(required: IsolationLevel, candidates: Sequence[Sandbox]) -> tuple[Sandbox, Probe]:
    """The strongest that works, with what its probe said.

    Raises:
        IsolationUnavailable: none works that is as strong as `required`.
    """
    for candidate in candidates:
        probe = candidate.probe()
        if probe.works and probe.level.satisfies(required):
            return candidate, probe
    found = best(required, candidates)
    raise too_weak(required, found.problem, found.remedy)


def best(required: IsolationLevel, candidates: Sequence[Sandbox]) -> Probe:
    """The probe of the strongest that works; else the first failure, with its remedy."""
    probes = [candidate.probe() for candidate in candidates]
    for probe in probes:
        if probe.works and probe.level.satisfies(required):
            return probe
    for probe in probes:
        if probe.works:
            return _too_weak(required, probe)
    return probes[0]


def _too_weak(required: IsolationLevel, probe: Probe) -> Probe:
    return Probe(
        level=probe.level,
        driver=probe.driver,
        works=False,
        problem=f"{probe.driver} gives level '{probe.level}' only",
        remedy=f"A person may accept it: required_isolation = '{probe.level}' in the settings "
        f"instead of '{required}'.",
    )
