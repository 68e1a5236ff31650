"""Third stage: the exact tree into the store, and the frozen specification of the job."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.governance.secret_grants import digest_of, with_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.domain.job import Origin, Snapshot
    from mcp_cloud_agents.domain.sandbox import IsolationLevel
    from mcp_cloud_agents.domain.secret import SecretGrant
    from mcp_cloud_agents.ports.clock import Clock
    from mcp_cloud_agents.ports.planner import Plan, Planner
    from mcp_cloud_agents.ports.snapshots import Snapshots


POLICY_FILE = ".cloud-agents/policy.toml"
_POLICY_BYTES = 8 << 20
"""Far more than may be in one, so that one that is too large is refused and not passed over."""
_MAX_KEPT = 256


def _no_secrets(agent: str, snapshot: Snapshot) -> tuple[SecretGrant, ...]:
    del agent, snapshot
    return ()


class Packer:
    """Makes a job's specification; blocks, call it in a thread.

    Args:
        snapshots: takes the tree.
        planner: decides command, environment and limits.
        clock: for the id and the time.
        isolation: the weakest isolation the person accepts.
        grants: which secrets a subagent's job on a snapshot gets, see `governance.secret_grants`;
            raises SecretUnusable.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        planner: Planner,
        clock: Clock,
        isolation: IsolationLevel,
        grants: Callable[[str, Snapshot], tuple[SecretGrant, ...]] = _no_secrets,
    ) -> None:
        self._snapshots = snapshots
        self._planner = planner
        self._clock = clock
        self._isolation: IsolationLevel = isolation
        self._grants = grants
        self._policies: dict[str, bytes | None] = {}

    def locate(self, workspace: str) -> Origin:
        """The worktree that a request means. Raises NotAWorktree."""
        return self._snapshots.locate(workspace)

    def repository_policy(self, snapshot: Snapshot) -> bytes | None:
        """What the repository says about jobs of its own, untrusted; None: nothing.

        Of a snapshot that was packed here this costs nothing: the plan has read it.
        """
        with suppress(KeyError):
            return self._policies[snapshot.tree]
        found = self._snapshots.read(snapshot, [POLICY_FILE], limit_bytes=_POLICY_BYTES)
        return found.get(POLICY_FILE)

    def _keep(self, snapshot: Snapshot, policy: bytes | None) -> None:
        """A tree's content never changes, so its policy does not."""
        if len(self._policies) >= _MAX_KEPT:
            self._policies.clear()
        self._policies[snapshot.tree] = policy

    def pack(self, request: Request, origin: Origin, passed_over: tuple[str, ...] = ()) -> JobSpec:
        """Take the snapshot, make the plan, freeze both.

        Args:
            request: what was asked for.
            origin: the worktree.
            passed_over: places that would have been preferred, each with what was wrong.

        Raises:
            RefusedFiles, UnreadableTree, NoSpace: from the snapshot.
            InvalidArgument, BadConfig: from the plan.
            SecretUnusable: a secret cannot be used at this place.
        """
        snapshot = self._snapshots.take(origin)
        grants = self._grants(request.agent, snapshot)
        plan = self._planner.plan(snapshot, replace(request.wish, folder=origin.folder))
        self._keep(snapshot, plan.policy)
        plan = replace(plan, setup=with_secrets(plan.setup, grants), policy=None)
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
            digest=work_digest(request.agent, snapshot, plan, self._isolation, grants),
            created_at=self._clock.now(),
            key=request.key,
            passed_over=passed_over,
            folder=plan.folder,
            paths=plan.paths,
            fix=plan.fix,
            secrets=grants,
        )


def work_digest(
    agent: str,
    snapshot: Snapshot,
    plan: Plan,
    isolation: IsolationLevel,
    grants: Sequence[SecretGrant] = (),
) -> str:
    """sha256 that names the work: equal trees and plans give equal digests, on every worktree."""
    plan = replace(plan, paths=())  # the command has them, seen from where it starts
    work = {
        "agent": agent,
        "tree": snapshot.tree,
        "isolation": isolation,
        "plan": asdict(plan),
        "secrets": digest_of(grants),
    }
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
