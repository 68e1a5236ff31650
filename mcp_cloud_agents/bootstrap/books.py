"""What admission reads and writes: money, questions, the audit, rules; and who acts."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.money import micros_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.rules import PolicyRules
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.governance.policy import Policy
    from mcp_cloud_agents.ports.audit import Audit
    from mcp_cloud_agents.ports.ledger import Ledger
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.settings import AwsSettings, Settings
    from mcp_cloud_agents.storage.audit_copy import AuditCopy
    from mcp_cloud_agents.storage.audit_files import AuditFiles
    from mcp_cloud_agents.storage.state_folder import StateFolder


class Principal:
    """Who AWS takes us for: the configured account, until a probe asked for the ARN.

    Args:
        aws: `settings.aws`; None: nobody.
    """

    def __init__(self, aws: AwsSettings | None) -> None:
        self._who = f"account {aws.account_id}" if aws is not None and aws.account_id else ""

    def __call__(self) -> str:
        """For the audit."""
        return self._who

    def meet(self, arn: str) -> None:
        """AWS was asked."""
        self._who = arn


def books_of(
    settings: Settings,
    state: StateFolder,
    known: KnownSecrets,
    principal: Principal,
    *,
    serving: bool,
) -> Books:
    """What admission writes: money, questions, and what happened.

    Args:
        settings: the person's.
        state: the state folder, opened.
        known: every secret that is resolved in this process.
        principal: who we are in AWS.
        serving: whether this process lives long enough to copy the audit as well.
    """
    from mcp_cloud_agents.delegation.books import Books, Host
    from mcp_cloud_agents.storage.sqlite_approvals import SqliteApprovals
    from mcp_cloud_agents.telemetry.clock import SystemClock

    host = Host(session=session_of(keep_spare=serving), os_user=os_user(), principal=principal)
    audit = audit_for(settings, known.known)
    return Books(
        ledger=ledger_for(settings),
        approvals=SqliteApprovals(state.approvals),
        audit=_copied(settings, audit) if serving else audit,
        host=host,
        clock=SystemClock(),
    )


def ledger_for(settings: Settings) -> Ledger:
    """The money of this machine, and of the team where one is named.

    A ledger that was deleted is filled from the audit: to delete it opens no limit.

    Raises:
        BadConfig: a team is named, and no account that its table is in.
    """
    from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
    from mcp_cloud_agents.storage.state_folder import StateFolder

    state, team = StateFolder(settings.state_dir), settings.budget.team
    here = SqliteLedger(state.ledger, lambda: (one.entry for one in audit_for(settings).links()))
    if not team.table:
        return here
    if settings.aws is None:
        raise BadConfig(
            f"{settings.file}: [budget.team] names a table, and there is no [aws] that says where.",
            hint="Run `mcp-cloud-agents configure aws`, or take budget.team.table out.",
        )
    from mcp_cloud_agents.backends.aws_batch.factory import team_ledger
    from mcp_cloud_agents.storage.team_ledger import Offline, TeamLedger

    offline = Offline(
        when_unreachable=team.when_unreachable, local_micros=micros_of(team.local_usd)
    )
    return TeamLedger(here, team_ledger(settings.aws, team.table), offline, state.turns)


def audit_for(settings: Settings, known: Callable[[str], str] = str) -> AuditFiles:
    """What happened on this machine.

    Args:
        settings: name the state folder.
        known: takes the values out that this process knows; what looks like a key always goes.
    """
    from mcp_cloud_agents.governance.redaction import Redactor
    from mcp_cloud_agents.storage.audit_files import AuditFiles
    from mcp_cloud_agents.storage.state_folder import StateFolder

    looks = Redactor().text
    return AuditFiles(StateFolder(settings.state_dir).audit, lambda text: looks(known(text)))


def audit_copy(settings: Settings) -> AuditCopy | None:
    """Its copy in the bucket of the settings, opened with the first call; None: there is none."""
    from mcp_cloud_agents.storage.audit_copy import AuditCopy

    aws = settings.aws
    if aws is None or not aws.audit_bucket:
        return None

    def bucket() -> Store:
        from mcp_cloud_agents.backends.aws_batch.factory import audit_store

        return audit_store(aws)

    return AuditCopy(audit_for(settings).folder, bucket)


def _copied(settings: Settings, audit: AuditFiles) -> Audit:
    from mcp_cloud_agents.storage.copied_audit import CopiedAudit

    copy = audit_copy(settings)
    return audit if copy is None else CopiedAudit(audit, copy.copy_pending)


def policy_for(settings: Settings) -> Policy:
    """The person's policy as it is now. Raises BadConfig."""
    from mcp_cloud_agents.storage.policy_file import read_policy

    return read_policy(os.path.join(os.path.dirname(settings.file), "policy.toml"))


def rules_for(settings: Settings) -> PolicyRules:
    """The person's policy, and how that of a repository is read."""
    from mcp_cloud_agents.agents.repository_policy import read_repository_policy
    from mcp_cloud_agents.delegation.rules import PolicyRules

    return PolicyRules(lambda: policy_for(settings), read_repository_policy)


def session_of(*, keep_spare: bool) -> str:
    """One run of the server; for commands the terminal that they are typed in."""
    import secrets

    if keep_spare:
        return f"server {secrets.token_hex(6)}"
    return f"terminal {os.getsid(0)} {datetime.now(UTC):%Y-%m-%d}"


def os_user() -> str:
    """The account that this process runs as; no variable has a say in it."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's uid without an account
        return f"uid {os.geteuid()}"
