"""What policy says about a job, and what it is told about the job. A decision is a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.job import Kind

_LOCAL_TIME = re.compile(r"(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """It may start."""

    rule: str
    """The name of the rule that decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A person has to agree first."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """It may not start."""

    rule: str
    reason: str


Decision = Allow | Ask | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """All that rules can look at; kept with the decision, so that it can be explained later."""

    agent: str
    kind: Kind
    backend: str
    worst_micros: int
    """What it costs at most."""
    timeout_s: int
    memory_mib: int
    vcpus: float
    """Of the machine it is billed for; 0 on this machine."""
    network: bool
    """Whether its set-up reaches the network; the run phase never does."""
    secrets: tuple[str, ...]
    """Names."""
    workspace: str
    """Real path of the top of the worktree."""
    paths: tuple[str, ...]
    """What it was asked to run below it: the folder and the paths, relative to the top."""
    engine: Engine | None
    """Of a fix."""
    attempts: int
    local_time: str
    """Weekday and time of the person's clock: `mon 14:05`."""

    def __post_init__(self) -> None:
        """Check what rules compare as text.

        Raises:
            ValueError: the time is no weekday and time of day.
        """
        if not _LOCAL_TIME.fullmatch(self.local_time):
            raise ValueError(f"no local time: {self.local_time[:40]!r}")
