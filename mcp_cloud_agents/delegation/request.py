"""What a caller hands to the runner, and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.money import Money
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.approvals import Question
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.ports.planner import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One delegation."""

    agent: str
    workspace: str
    wish: Wish
    key: str | None
    """Idempotency key; the same key is the same job, whatever else the request says."""
    backend: str = "auto"
    """Where it shall run: `auto`, or the name of a backend."""
    actor: Actor = field(default_factory=Actor)
    fresh: bool = False
    """Start a new job although equal work is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """All that is known of a job at one moment."""

    spec: JobSpec
    backend: str
    status: JobStatus
    result: JobResult | None
    tail: Bytes
    """The end of the log."""
    note: str = ""
    """What the caller should know about this answer (e.g. that an earlier job was found)."""
    money: Money | None = None
    """What it may cost and did cost; None where nobody can tell now."""
    question: Question | None = None
    """What a person was asked before it could start."""
