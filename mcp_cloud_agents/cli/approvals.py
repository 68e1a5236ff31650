"""`approvals`: what waits for a person, and what persons allowed in advance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from mcp_cloud_agents.cli.actor import PERSON
from mcp_cloud_agents.cli.asked import moment
from mcp_cloud_agents.cli.lines import line
from mcp_cloud_agents.cli.session import PASSED, REFUSED, run, say, write
from mcp_cloud_agents.domain.money import usd

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.ports.approvals import Grant, Question


def approvals(
    revoke: Annotated[
        str, typer.Option("--revoke", metavar="GRANT", help="Take this grant back.")
    ] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List jobs that wait for a person, and grants (`approve --for`) that still hold."""

    async def work(runner: JobRunner) -> int:
        if revoke:
            grant = await runner.revoke(revoke, actor=PERSON)
            if grant is None:
                say(f"no grant {revoke[:80]!r} holds; `mcp-cloud-agents approvals` lists them")
                return REFUSED
            write(f"{grant.id}  revoked\n")
            return PASSED
        waiting, grants = await runner.questions(), await runner.grants()
        if as_json:
            told = {"waiting": waiting, "grants": grants}
            write(json.dumps(msgspec.to_builtins(told), ensure_ascii=False) + "\n")
        else:
            _show(waiting, grants)
        return PASSED

    raise typer.Exit(run(work))


def _show(waiting: tuple[Question, ...], grants: tuple[Grant, ...]) -> None:
    if not waiting and not grants:
        say("nothing waits for a person, and no grant holds")
    for one in waiting:
        facts = one.facts
        line("waiting", f"{one.job_id}  {facts.agent} on {facts.backend}, {facts.workspace}")
        line("", f"at most {usd(facts.worst_micros)} USD; rule {one.rule}: {one.reason}")
        line("", f"until {moment(one.expires_at)}: mcp-cloud-agents approve {one.job_id}", "dim")
    for grant in grants:
        line("grant", f"{grant.id}  {grant.agent} on {grant.backend}, {grant.workspace}")
        left = f"{usd(grant.left_micros)} USD left until {moment(grant.until)}"
        line("", f"{left}, for what rule {grant.rule} asks; by {grant.by}")
        line("", f"take it back: mcp-cloud-agents approvals --revoke {grant.id}", "dim")
