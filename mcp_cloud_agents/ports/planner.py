"""Deciding what a job on a snapshot consists of: command, test runner, environment, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.domain.setup import SetupPlan

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller asked for, as far as it was said."""

    kind: Kind
    command: str | None
    paths: tuple[str, ...] = ()
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done."""

    command: str
    runner: str | None
    setup: SetupPlan
    limits: Limits


class Planner(Protocol):
    """Blocks (reads the snapshot, asks host programs for their version); call it in a thread."""

    def plan(self, snapshot: Snapshot, wish: Wish) -> Plan:
        """Make the plan.

        Raises:
            InvalidArgument: no test command was given and none can be found.
            BadConfig: the repository's own configuration is wrong.
        """
        ...
