"""Deciding what a job on a snapshot consists of: command, test runner, environment, limits.

The contract is in `tests/contracts/test_planner.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.fix import FixOrder
from mcp_cloud_agents.domain.fix_policy import FixWish
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
    """None: the tests of the tree, as they are usually run; a plain command is always given."""
    paths: tuple[str, ...] = ()
    """Tests, relative to `folder` or to the top of the tree."""
    timeout_s: int | None = None
    folder: str = ""
    """Where below the top of the tree it was asked for; empty: at the top."""
    fix: FixWish | None = None
    """With kind `fix`, and with that only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done."""

    command: str
    runner: str | None
    """Which test runner's reports to read; None for a plain command, and for that only."""
    setup: SetupPlan
    limits: Limits
    folder: str = ""
    """Where below the top of the tree the command starts; empty: at the top."""
    fix: FixOrder | None = None
    """With kind `fix`, and with that only."""
    paths: tuple[str, ...] = ()
    """The tests that were named, relative to the top, in the plain way: what rules look at."""
    policy: bytes | None = None
    """The repository's own policy as it is in the snapshot, untrusted and unread; None: none."""


class Planner(Protocol):
    """Blocks (reads the snapshot, asks host programs for their version); call it in a thread.

    Any number of threads may plan at once. Nothing of the tree is run, and the worktree may be gone
    or changed: the snapshot alone counts. Equal trees and wishes give equal plans on one machine,
    whichever worktree of a repository they are of: that is how equal work is recognised.
    """

    def plan(self, snapshot: Snapshot, wish: Wish) -> Plan:
        """Make the plan.

        What the caller said goes before the repository's configuration, and that before what is
        found out; but the repository may tighten every limit, and widen none.

        The caller's command starts in the caller's folder, the repository's own at the top; what
        is found out, in the nearest folder from the caller's upwards that tells it.

        Raises:
            InvalidArgument: no test command was given and none can be found, or nothing of the
                caller's folder is in the snapshot; a fix has no engine, or would cost too much.
            BadConfig: the repository's own configuration is wrong.
            BackendFailed: the snapshot is gone.
        """
        ...
