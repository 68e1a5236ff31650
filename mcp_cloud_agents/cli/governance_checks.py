"""The part of `doctor` about rules: the person's policy, and trust in this repository."""

from __future__ import annotations

import os
import time

from mcp_cloud_agents.bootstrap.books import audit_copy, audit_for, ledger_for
from mcp_cloud_agents.cli.audit import copy_text
from mcp_cloud_agents.cli.configure_team import team_limit
from mcp_cloud_agents.cli.finding import Finding
from mcp_cloud_agents.cli.trust import snapshots_of, trust_store
from mcp_cloud_agents.domain.errors import AgentsError, NotAWorktree
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.domain.rendering import counted
from mcp_cloud_agents.governance.policy_tests import outcomes
from mcp_cloud_agents.settings import Settings
from mcp_cloud_agents.storage.policy_file import policy_path, read_policy_and_tests

_LATE_S = 86_400.0
"""A copy that is a day behind is told of: servers copy within minutes while they live."""


def rules(settings: Settings) -> list[Finding]:
    """Whether the policy can be read and passes its tests; what is trusted here; the books."""
    found = (_policy(policy_path(settings.file)), _trust(settings), _money(settings))
    return [*found, _audit(settings, time.time())]


def _audit(settings: Settings, now: float) -> Finding:
    """Whether entries can be put behind the newest one, and how far the copy is behind."""
    try:
        head = audit_for(settings).folder.head()
        copy = audit_copy(settings)
        copied = None if copy is None else copy.state()
    except AgentsError as exc:
        said = f"{exc.message}\nnothing is started until then"
        return Finding(name="audit", ok=False, said=said, remedy=exc.hint)
    said = f"the newest entry is number {head.number}" if head else "no entries yet"
    if copied is None:
        return Finding(name="audit", ok=True, said=f"{said}; copied nowhere (docs/audit.md)")
    late = copied.oldest_at is not None and now - copied.oldest_at > _LATE_S
    remedy = "mcp-cloud-agents audit push copies it, and says what is in the way."
    return Finding(name="audit", ok=not late, said=f"{said}; {copy_text(copied)}", remedy=remedy)


def _money(settings: Settings) -> Finding:
    """Whether the ledger of this machine, and the team's where one is named, can be read."""
    team = settings.budget.team
    try:
        ledger = ledger_for(settings)
        held = ledger.open()
        shared = ledger.balances([team_limit(settings).scope]) if team.table else ()
    except AgentsError as exc:
        said = f"{exc.message}\nnothing that costs is started until then"
        return Finding(name="money", ok=False, said=said, remedy=exc.hint)
    said = f"{counted(len(held), 'reservation')} open; `mcp-cloud-agents costs` shows more"
    for balance in shared:
        said += f"\nteam {team.name}: {usd(balance.room_micros)} USD left this month"
    return Finding(name="money", ok=True, said=said)


def _policy(path: str) -> Finding:
    try:
        policy, tests = read_policy_and_tests(path)
    except AgentsError as exc:
        said = f"{exc.message}\nnothing is started until it is mended"
        return Finding(name="policy", ok=False, said=said, remedy=exc.hint)
    if not policy.file:
        said = "none: every job within the budget is allowed (docs/policy.md)"
        return Finding(name="policy", ok=True, said=said)
    failed = sum(not one.passed for one in outcomes(policy, tests))
    real = os.path.realpath(path)
    link = "" if real == path else f" -> {real}"
    said = (
        f"{path}{link}: {counted(len(policy.rules), 'rule')}, default {policy.default}, "
        f"{counted(len(tests), 'test')}, {failed} failed"
    )
    remedy = "mcp-cloud-agents policy test shows which."
    return Finding(name="policy", ok=not failed, said=said, remedy=remedy)


def _trust(settings: Settings) -> Finding:
    """Not to be trusted is no failure: that is how every repository begins."""
    try:
        where = snapshots_of(settings).locate(settings.cwd)
        trusted = trust_store(settings).everything(where.common_dir)
    except NotAWorktree:
        return Finding(name="trust", ok=True, said="no worktree here")
    except AgentsError as exc:
        return Finding(name="trust", ok=False, said=exc.message, remedy=exc.hint)
    said = "nothing of this repository is trusted: it gets no secret that needs that"
    if trusted:
        known = counted(len(trusted), "configuration")
        said = f"{known} of this repository, the newest {trusted[0].digest[:12]}"
    return Finding(name="trust", ok=True, said=said)
