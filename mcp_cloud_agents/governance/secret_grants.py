"""Which job gets which secret: the person's table `[secrets]` against one job. Pure.

A secret goes to a job when the subagent is named, and the worktree is: by a pattern of its path,
or, where there is none, because a person trusted the repository's configuration.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.domain.secret import Phase, SecretGrant, SecretTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.domain.setup import SetupPlan


def grants_for(
    tables: Mapping[str, SecretTable], agent: str, workspace: str, *, trusted: bool
) -> tuple[SecretGrant, ...]:
    """The secrets that a job's commands get, by name; sorted.

    Args:
        tables: the person's.
        agent: name of the subagent.
        workspace: absolute path of the top of the worktree.
        trusted: whether a person trusted the configuration of exactly this tree.
    """
    return tuple(
        SecretGrant(name=name, source=table.source, phases=table.phases)
        for name, table in sorted(tables.items())
        if _matches(agent, table.agents) and _may_see(table, workspace, trusted=trusted)
    )


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _may_see(table: SecretTable, workspace: str, *, trusted: bool) -> bool:
    return _matches(workspace, table.workspaces) if table.workspaces else trusted


def of_phase(grants: Sequence[SecretGrant], phase: Phase) -> tuple[SecretGrant, ...]:
    """Those that commands of this phase see."""
    return tuple(grant for grant in grants if phase in grant.phases)


def environment_variables(grants: Sequence[SecretGrant]) -> tuple[str, ...]:
    """The variables that sources `env:NAME` name."""
    named = (g.source.removeprefix("env:") for g in grants if g.source.startswith("env:"))
    return tuple(dict.fromkeys(named))


def check_elsewhere(grants: Sequence[SecretGrant]) -> None:
    """Refuse secrets in files of this machine for a job that runs on another one.

    Raises:
        SecretUnusable: there is one.
    """
    for grant in grants:
        if grant.source.startswith("file:"):
            raise SecretUnusable(
                f"The secret {grant.name} is {grant.source}, a file of this machine, which a job "
                "in AWS cannot read.",
                hint='Put it into Secrets Manager (source = "aws-sm:ID") or a parameter of SSM '
                '("aws-ssm:NAME"), and let jobs read it by `readable_secrets` of the Terraform '
                'module (docs/secrets.md); or pass backend="local".',
            )


def with_secrets(setup: SetupPlan, grants: Sequence[SecretGrant]) -> SetupPlan:
    """The set-up of a job with these secrets: its environment is for jobs with the same alone."""
    given = of_phase(grants, Phase.SETUP)
    if not setup.commands or not given:
        return setup
    named = json.dumps([setup.key, *([grant.name, grant.source] for grant in given)])
    return replace(setup, key=hashlib.sha256(named.encode()).hexdigest())


def digest_of(grants: Sequence[SecretGrant]) -> list[dict[str, object]]:
    """What of them decides what a job does, as JSON has it; values do not."""
    return [asdict(grant) for grant in grants]


Trusted = Callable[["Snapshot"], bool]
"""Whether a person trusted the configuration of exactly this tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRules:
    """The person's table for one place; `delegation.pack` asks it for each job.

    Attributes:
        tables: `settings.secrets` as it is now.
        trusted: asked only where a table names no worktrees.
        elsewhere: whether jobs run on another machine, which has no file of this one.
    """

    tables: Callable[[], Mapping[str, SecretTable]]
    trusted: Trusted
    elsewhere: bool = False

    def __call__(self, agent: str, snapshot: Snapshot) -> tuple[SecretGrant, ...]:
        """The grants of a job.

        Raises:
            SecretUnusable: one cannot be used at this place.
            BadConfig: the person's file is wrong by now.
        """
        tables = self.tables()
        open_to_trusted = any(
            not table.workspaces and _matches(agent, table.agents) for table in tables.values()
        )
        grants = grants_for(
            tables,
            agent,
            snapshot.origin.workspace,
            trusted=open_to_trusted and self.trusted(snapshot),
        )
        if self.elsewhere:
            check_elsewhere(grants)
        return grants
