"""`costs`: what jobs did cost, what is held back, and how much of each limit is left."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from mcp_cloud_agents.cli.session import say, tell, write
from mcp_cloud_agents.domain.errors import AgentsError, LedgerUnusable
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.governance.budget import Spender, limits_of
from mcp_cloud_agents.governance.spending import (
    By,
    Row,
    bar,
    of_each,
    seconds_of,
    spending,
    warnings,
)
from mcp_cloud_agents.ports.ledger import Balance, Reservation, ScopeKind
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.ports.ledger import Ledger, Limit
    from mcp_cloud_agents.settings import Settings

_SETTLE_S = 20.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is shown."""

    by: By
    since: str
    rows: tuple[Row, ...]
    held: tuple[Reservation, ...]
    balances: tuple[Balance, ...]
    warnings: tuple[str, ...]

    @property
    def total_micros(self) -> int:
        """Of all rows."""
        return sum(row.micros for row in self.rows)


def costs(
    by: Annotated[By, typer.Option("--by", help="What to group by.")] = By.DAY,
    since: Annotated[
        str, typer.Option("--since", metavar="PERIOD", help="Hours, days or weeks: 12h, 30d, 4w.")
    ] = "30d",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Make a damaged ledger anew from the audit.")
    ] = False,
) -> None:
    """Show what was spent, what is held back, and what is left of each limit."""
    from mcp_cloud_agents.bootstrap.books import ledger_for
    from mcp_cloud_agents.bootstrap.places import job_owner

    try:
        settings = load()
        StateFolder(settings.state_dir).open(shared=job_owner(settings) is not None)
        if recover:
            _recover(settings)
        ledger = ledger_for(settings)
        if ledger.open():
            _settle(settings)
        report = _report(ledger, settings, by, since)
    except AgentsError as exc:
        tell(exc)
    if as_json:
        write(json.dumps(_as_json(report), ensure_ascii=False) + "\n")
    else:
        _print(report, settings)


def _settle(settings: Settings) -> None:
    """Jobs that ended since anybody looked; what takes too long stays held, and is shown so."""
    from mcp_cloud_agents.bootstrap.runner import runner_for

    async def work() -> None:
        with anyio.move_on_after(_SETTLE_S):
            await runner_for(settings).sweep()

    anyio.run(work)


def _recover(settings: Settings) -> None:
    """A ledger that can be read is left alone: the audit may be the younger of the two."""
    from mcp_cloud_agents.bootstrap.books import audit_for
    from mcp_cloud_agents.storage.sqlite_file import Damaged
    from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger

    ledger = SqliteLedger(StateFolder(settings.state_dir).ledger)
    try:
        ledger.open()
    except LedgerUnusable as exc:
        if not isinstance(exc.__cause__, Damaged):  # locked, or of a newer version: a good file
            raise
        links = audit_for(settings).links()
        found, aside = ledger.recover(link.entry for link in links)
    else:
        say("the ledger is not damaged; it was left as it is")
        return
    say(f"{len(found.reservations)} reservations were found in the audit")
    for job_id in found.unreadable:
        say(f"what the audit says of {render_text(job_id)} cannot be read; it is not counted")
    say(f"the damaged file is kept: {aside}")


def _report(ledger: Ledger, settings: Settings, by: By, since: str) -> Report:
    now = time.time()
    settled = ledger.ended(since=now - seconds_of(since), until=now + 1)
    limits = _limits(settings, now)
    balances = of_each(limits, ledger.balances([one.scope for one in limits]))
    held = ledger.open()
    return Report(
        by=by,
        since=since,
        rows=spending(settled, by),
        held=held,
        balances=balances,
        warnings=warnings(balances, held, now=now),
    )


def _limits(settings: Settings, now: float) -> list[Limit]:
    """Those of now and of the worktree here; a session's are its own."""
    from mcp_cloud_agents.snapshots.worktree import top_of

    here = top_of(settings.cwd) or ""
    kept = {ScopeKind.DAY, ScopeKind.MONTH, ScopeKind.TEAM}
    if here:
        kept.add(ScopeKind.WORKSPACE)
    limits = limits_of(settings.budget, Spender(session="", workspace=here), now)
    return [one for one in limits if one.scope.kind in kept]


def _print(report: Report, settings: Settings) -> None:
    _print_rows(report)
    for one in report.held:
        tags = one.order.tags
        amount = usd(one.order.amount_micros)
        write(f"held     {amount:>12}  {one.order.token}  {tags.agent} on {tags.backend}\n")
    if (job_usd := settings.budget.job_usd) is not None:
        write(f"limit    {'job':<10} {job_usd:g} USD for a single one\n")
    for balance in report.balances:
        write(f"limit    {balance.limit.scope.kind:<10} {_sums(balance)}\n")
    for text in report.warnings:
        write(f"warning  {render_text(text)}\n")


def _print_rows(report: Report) -> None:
    if not report.rows:
        write(f"nothing was spent in the last {report.since}\n")
        return
    most = max(row.micros for row in report.rows)
    names = [_flat(row.name) for row in report.rows]
    width = max(map(len, names))
    for name, row in zip(names, report.rows, strict=True):
        line = f"{name:<{width}}  {usd(row.micros):>12}  {row.jobs:>5}  {bar(row.micros, most)}"
        write(f"{line.rstrip()}\n")
    jobs = sum(row.jobs for row in report.rows)
    write(f"{'total':<{width}}  {usd(report.total_micros):>12}  {jobs:>5}  USD, jobs\n")


def _sums(balance: Balance) -> str:
    return (
        f"{usd(balance.spent_micros)} spent, {usd(balance.open_micros)} held, "
        f"{usd(balance.room_micros)} left of {usd(balance.limit.cap_micros)} USD"
    )


def _flat(text: str) -> str:
    return " ".join(render_text(text).split())


def _as_json(report: Report) -> Json:
    return {
        "by": str(report.by),
        "since": report.since,
        "total_usd": usd(report.total_micros),
        "rows": [
            {"name": row.name, "usd": usd(row.micros), "jobs": row.jobs} for row in report.rows
        ],
        "held": [_held(one) for one in report.held],
        "limits": _limits_as_json(report.balances),
        "warnings": list(report.warnings),
    }


def _held(one: Reservation) -> Json:
    order = one.order
    return {
        "job_id": order.token,
        "usd": usd(order.amount_micros),
        "subagent": order.tags.agent,
        "backend": order.tags.backend,
        "at": order.at,
    }


def _limits_as_json(balances: Sequence[Balance]) -> list[Json]:
    return [
        {
            "limit": str(one.limit.scope.kind),
            "of": one.limit.scope.key,
            "cap_usd": usd(one.limit.cap_micros),
            "spent_usd": usd(one.spent_micros),
            "held_usd": usd(one.open_micros),
            "left_usd": usd(one.room_micros),
        }
        for one in balances
    ]
