"""`policy test` and `policy explain`: what the rules say, before and after."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli import policy_job
from mcp_cloud_agents.cli.explained import Explained, explained
from mcp_cloud_agents.cli.session import FAILED, PASSED, say, tell, write
from mcp_cloud_agents.domain.decision import Allow
from mcp_cloud_agents.domain.errors import AgentsError, BadConfig
from mcp_cloud_agents.domain.rendering import counted, render_text
from mcp_cloud_agents.governance.policy import REPOSITORY, Policy, decide, effect_of, explain
from mcp_cloud_agents.governance.policy_tests import outcomes
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.policy_file import policy_path, read_policy_and_tests

if TYPE_CHECKING:
    from mcp_cloud_agents.governance.policy import Step
    from mcp_cloud_agents.governance.policy_tests import PolicyTest, SampleJob

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

app = typer.Typer(help="What your rules say about jobs.", no_args_is_help=True)


@app.callback()
def policy() -> None:
    """What your rules say about jobs."""


@app.command("test")
def check(  # noqa: PLR0913  a command's parameters are its options
    agent: policy_job.Agent = None,
    kind: policy_job.OfKind = None,
    backend: policy_job.Backend = None,
    engine: policy_job.OfEngine = None,
    cost_usd: policy_job.CostUsd = None,
    timeout_minutes: policy_job.Minutes = None,
    memory_mib: policy_job.MemoryMib = None,
    vcpus: policy_job.Vcpus = None,
    attempts: policy_job.Attempts = None,
    *,
    network: policy_job.Network = None,
    secret: policy_job.Secrets = None,
    workspace: policy_job.Workspace = None,
    path: policy_job.Paths = None,
    time: policy_job.Time = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Another policy than your own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the [[tests]] of a policy; or, with a job's options, tell what it says about that job.

    Exit code 1: a test failed.
    """
    job = policy_job.sample_job(
        {
            "agent": agent,
            "kind": kind,
            "backend": backend,
            "engine": engine,
            "cost_usd": cost_usd,
            "timeout_minutes": timeout_minutes,
            "memory_mib": memory_mib,
            "vcpus": vcpus,
            "attempts": attempts,
            "network": network,
            "secrets": secret,
            "workspace": workspace,
            "paths": path,
            "time": time,
        }
    )
    try:
        found, tests = _read(file)
    except AgentsError as exc:
        tell(exc)
    if job is not None:
        _ask(found, job, as_json=as_json)
    else:
        raise typer.Exit(_run_tests(found, tests, as_json=as_json))


@app.command("explain")
def explain_job(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    *,
    as_json: Json = False,
) -> None:
    """Why a job was allowed, asked about or refused, and what your rules would say today."""
    from mcp_cloud_agents.bootstrap.books import audit_for

    try:
        settings = load()
        today, _ = _read(None)
        found = explained(audit_for(settings).links(), job, today)
    except AgentsError as exc:
        tell(exc)
    if as_json:
        write(json.dumps(asdict(found), ensure_ascii=False) + "\n")
    else:
        _print_explained(found, today)


def _read(file: str | None) -> tuple[Policy, tuple[PolicyTest, ...]]:
    if file is not None and not os.path.lexists(file):
        raise BadConfig(f"{file}: there is no such file.", hint="Name a file that is there.")
    return read_policy_and_tests(file or policy_path(load().file))


def _ask(found: Policy, job: SampleJob, *, as_json: bool) -> None:
    facts = job.facts()
    decision, steps = decide(found, facts), explain(found, facts)
    reason = "" if isinstance(decision, Allow) else decision.reason
    effect = effect_of(decision)
    if as_json:
        told = {"decision": effect, "rule": decision.rule, "reason": reason}
        steps_told = [asdict(step) for step in steps]
        write(json.dumps({**told, "steps": steps_told}, ensure_ascii=False) + "\n")
        return
    _print_steps(steps)
    write(f"{effect} by {decision.rule}{': ' if reason else ''}{render_text(reason)}\n")


def _run_tests(found: Policy, tests: tuple[PolicyTest, ...], *, as_json: bool) -> int:
    results = outcomes(found, tests)
    failed = sum(not one.passed for one in results)
    if as_json:
        told = {"file": found.file, "digest": found.digest, "default": found.default}
        rules = [rule.name for rule in found.rules]
        write(json.dumps({**told, "rules": rules, "tests": [asdict(one) for one in results]}))
        write("\n")
        return FAILED if failed else PASSED
    width = max((len(one.name) for one in results), default=0)
    for one in results:
        mark = "ok  " if one.passed else "FAIL"
        got = "" if one.passed else f", got {one.got}"
        write(f"{mark}  {render_text(one.name):<{width}}  {one.expected}{got}\n")
    say(_summary(found, len(results), failed))
    return FAILED if failed else PASSED


def _summary(found: Policy, tests: int, failed: int) -> str:
    if not found.file:
        return "no policy.toml: every job within the budget is allowed"
    rules = f"{found.file}: {counted(len(found.rules), 'rule')}, default {found.default}"
    if not tests:
        return f"{rules}; it has no [[tests]]"
    return f"{rules}; {counted(tests, 'test')}, {failed} failed"


def _print_steps(steps: tuple[Step, ...]) -> None:
    width = max(len(step.rule) for step in steps)
    for step in steps:
        told = f"fits: {step.decision}" if step.matched else f"does not fit: {step.unmet}"
        write(f"  {step.rule:<{width}}  {render_text(told)}\n")


def _print_explained(found: Explained, today: Policy) -> None:
    then = f"{found.decided} by {found.rule}{': ' if found.reason else ''}{found.reason}"
    write(f"then   {found.at}  {render_text(then)}\n")
    write(f"       policy {found.policy_digest}\n")
    for name, value in found.facts.items():
        write(f"       {name}: {render_text(str(value))}\n")
    told = "the same policy" if found.same_policy else f"policy {today.digest}"
    write(f"today  {found.today} by {found.today_rule} ({told})\n")
    _print_steps(found.steps)
    if found.rule.startswith(REPOSITORY):
        say("the repository's own policy decided then; what it says today is not looked at here")
