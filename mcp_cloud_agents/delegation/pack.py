"""Third stage: the exact tree into the store, and the frozen specification of the job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.job import JobSpec

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.domain.job import Origin, Snapshot
    from mcp_cloud_agents.domain.sandbox import IsolationLevel
    from mcp_cloud_agents.ports.clock import Clock
    from mcp_cloud_agents.ports.planner import Plan, Planner
    from mcp_cloud_agents.ports.snapshots import Snapshots


POLICY_FILE = ".cloud-agents/policy.toml"
_POLICY_BYTES = 65_536


class Packer:
    """Makes a job's specification; blocks, call it in a thread.

    Args:
        snapshots: takes the tree.
        planner: decides command, environment and limits.
        clock: for the id and the time.
        isolation: the weakest isolation the person accepts.
    """

    def __init__(
        self, snapshots: Snapshots, planner: Planner, clock: Clock, isolation: IsolationLevel
    ) -> None:
        self._snapshots = snapshots
        self._planner = planner
        self._clock = clock
        self._isolation: IsolationLevel = isolation

    def locate(self, workspace: str) -> Origin:
        """The worktree that a request means. Raises NotAWorktree."""
        return self._snapshots.locate(workspace)

    def repository_policy(self, snapshot: Snapshot) -> bytes | None:
        """What the repository says about jobs of its own, untrusted; None: nothing."""
        return self._snapshots.read(snapshot, [POLICY_FILE], limit_bytes=_POLICY_BYTES).get(
            POLICY_FILE
        )

    def pack(self, request: Request, origin: Origin, passed_over: tuple[str, ...] = ()) -> JobSpec:
        """Take the snapshot, make the plan, freeze both.

        Args:
            request: what was asked for.
            origin: the worktree.
            passed_over: places that would have been preferred, each with what was wrong.

        Raises:
            RefusedFiles, UnreadableTree, NoSpace: from the snapshot.
            InvalidArgument, BadConfig: from the plan.
        """
        snapshot = self._snapshots.take(origin)
        plan = self._planner.plan(snapshot, replace(request.wish, folder=origin.folder))
        return JobSpec(
            id=self._clock.new_job_id(),
            agent=request.agent,
            kind=request.wish.kind,
            snapshot=snapshot,
            command=plan.command,
            runner=plan.runner,
            setup=plan.setup,
            limits=plan.limits,
            isolation=self._isolation,
            digest=work_digest(request.agent, snapshot, plan, self._isolation),
            created_at=self._clock.now(),
            key=request.key,
            passed_over=passed_over,
            folder=plan.folder,
            fix=plan.fix,
        )


def work_digest(agent: str, snapshot: Snapshot, plan: Plan, isolation: IsolationLevel) -> str:
    """sha256 that names the work: equal trees and plans give equal digests, on every worktree."""
    work = {"agent": agent, "tree": snapshot.tree, "isolation": isolation, "plan": asdict(plan)}
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
