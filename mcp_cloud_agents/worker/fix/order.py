"""What the worker tells a candidate's process, on its stdin; keys are nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_cloud_agents.domain.fix import Budget, Engine
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.worker.fix.reproduce import Base
from mcp_cloud_agents.worker.places import Places

SPENT, TRANSCRIPT, ENDED = "spent.json", "transcript.jsonl", "ended.json"
WRITTEN = "written.json"
"""What a candidate leaves in its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateOrder:
    """One candidate."""

    spec: JobSpec
    number: int
    engine: Engine
    budget: Budget
    """Its share."""
    places: Places
    """Its `job` is the candidate's folder; the restored workspace is in there."""
    env: str | None
    level: IsolationLevel
    """Of the sandbox that the job runs in."""
    base: Base
    deadline: float
    """By the monotonic clock, which all processes of a machine share."""
    parent: int
    """The worker's pid: without it there is nobody to make a candidate for."""
    writes: str = ""
    """Where the tests stand that it shall write; empty: it makes a candidate."""
    sources: dict[str, str] = field(default_factory=dict[str, str])
    """For that: what the tests may be about, by path."""
    keys: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """The models' keys by their references."""
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Variables for the target's and the suite's commands; the engine gets none."""
    known: tuple[str, ...] = field(default=(), repr=False)
    """Values that nothing it writes, and no prompt, may show."""


def judged_name(tree: str) -> str:
    """File in a candidate's folder with what its own process found of a tree."""
    return f"judged-{tree}.json"
