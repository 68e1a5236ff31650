"""`doctor`: what works on this machine, what is enforced, and the remedy for what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.bootstrap.places import job_owner, roots_of
from mcp_cloud_agents.bootstrap.runner import build_runner
from mcp_cloud_agents.cli.breaker_checks import breakers
from mcp_cloud_agents.cli.finding import Finding
from mcp_cloud_agents.cli.fixing_check import fixing
from mcp_cloud_agents.cli.governance_checks import rules
from mcp_cloud_agents.cli.prices_check import prices
from mcp_cloud_agents.cli.session import FAILED, PASSED, out
from mcp_cloud_agents.cli.show import limits_text
from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.settings import load

if TYPE_CHECKING:
    from mcp_cloud_agents.settings import Settings

_MIN_GIT = (2, 38)
_LOW_GIB = 2.0
_INDENT = " " * 15


def doctor(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also each setting, its value and its source.")
    ] = False,
) -> None:
    """Check this machine. Starts a sandbox for real, and says what is missing and what to do."""
    try:
        settings = load()
    except AgentsError as exc:
        _print([Finding(name="settings", ok=False, said=exc.message, remedy=exc.hint)])
        raise typer.Exit(FAILED) from exc
    findings = [
        _settings(settings),
        _git(settings),
        *_sandboxes(settings),
        _user(settings),
        _tools(settings),
        _state(settings),
        _worktree(settings),
        *rules(settings),
        *fixing(settings),
        *breakers(settings, time.time()),
        *_aws(settings),
        *prices(settings),
    ]
    _print(findings)
    if verbose:
        _print_settings(settings)
    raise typer.Exit(PASSED if all(finding.ok for finding in findings) else FAILED)


def _settings(settings: Settings) -> Finding:
    changed = {name: source for name, source in settings.sources.items() if source != "default"}
    said = ", ".join(f"{name} from {source}" for name, source in changed.items())
    return Finding(name="settings", ok=True, said=said or "all defaults")


def _git(settings: Settings) -> Finding:
    wanted = ".".join(map(str, _MIN_GIT))
    remedy = f"Install git {wanted} or newer (apt install git)."
    try:
        done = subprocess.run(
            ["git", "version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={"PATH": settings.search_path},
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return Finding(name="git", ok=False, said=str(exc), remedy=remedy)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    new_enough = found is not None and (int(found[1]), int(found[2])) >= _MIN_GIT
    return Finding(name="git", ok=new_enough, said=done.stdout.strip(), remedy=remedy)


def _sandboxes(settings: Settings) -> list[Finding]:
    """Every driver of this platform is started; one that is strong enough must work."""
    from mcp_cloud_agents.sandbox.choose import drivers

    probes = [driver.probe() for driver in drivers(job_uid=job_owner(settings))]
    enough = any(
        probe.works and probe.level.satisfies(settings.required_isolation) for probe in probes
    )
    weak = "It is weaker than required_isolation asks for; see the lines beside this one."
    return [
        Finding(
            name="sandbox",
            ok=enough,
            said=f"{probe.driver} was started: level {probe.level}\nlimits "
            + limits_text(probe.limits)
            if probe.works
            else f"{probe.driver} does not start: {probe.problem}",
            remedy=weak if probe.works else probe.remedy,
        )
        for probe in probes
    ]


def _user(settings: Settings) -> Finding:
    owner = job_owner(settings)
    if owner is None:
        return Finding(name="user", ok=True, said=f"jobs run as you (uid {os.getuid()})")
    return Finding(name="user", ok=True, said=f"you are root: commands of jobs run as uid {owner}")


def _tools(settings: Settings) -> Finding:
    """Never a failure: which of them a repository needs is not known here."""
    from mcp_cloud_agents.environments.host import Want
    from mcp_cloud_agents.environments.toolchains import Search, find

    search = Search(
        search_path=settings.search_path, home=settings.home, job_uid=job_owner(settings)
    )
    host = find([Want(name=name) for name in ("python", "node", "go", "rust")], search)
    seen = ", ".join(f"{one.name} {one.version} ({one.path[0]})" for one in host.toolchains)
    return Finding(name="tools", ok=True, said="\n".join((f"jobs can use {seen}", *host.notes)))


def _state(settings: Settings) -> Finding:
    folder = settings.state_dir
    try:
        build_runner()
        with tempfile.TemporaryFile(dir=folder):
            free_gib = shutil.disk_usage(folder).free / (1 << 30)
    except AgentsError as exc:
        return Finding(name="state", ok=False, said=exc.message, remedy=exc.hint)
    except OSError as exc:
        said, remedy = f"{folder}: {exc.strerror}", "Give yourself write permission there."
        return Finding(name="state", ok=False, said=said, remedy=remedy)
    remedy = "Free some space there, or set state_dir to a folder on another disk."
    said = f"{folder}, {free_gib:.1f} GiB free"
    return Finding(name="state", ok=free_gib >= _LOW_GIB, said=said, remedy=remedy)


def _worktree(settings: Settings) -> Finding:
    """Never a failure: the doctor may be called anywhere."""
    roots = ", ".join(roots_of(settings))
    return Finding(name="roots", ok=True, said=f"worktrees below these may be sent: {roots}")


def _aws(settings: Settings) -> list[Finding]:
    """What jobs in AWS need, asked there; one line when nothing is configured."""
    if settings.aws is None:
        said = "not configured: jobs run on this machine (docs/aws.md)"
        return [Finding(name="aws", ok=True, said=said)]
    import anyio

    from mcp_cloud_agents.backends.aws_batch.checks import Checks
    from mcp_cloud_agents.backends.aws_batch.clients import Clients

    models = (one.key for one in settings.fix.models)
    keys = [key.removeprefix("env:") for key in dict.fromkeys(models) if key.startswith("env:")]
    checks = anyio.run(Checks(Clients(settings.aws), settings.aws, keys).every)
    return [
        Finding(name="aws", ok=check.ok, said=f"{check.name}: {check.said}", remedy=check.remedy)
        for check in checks
    ]


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        mark, style = ("ok", "green") if finding.ok else ("FAIL", "bold red")
        _line((f"{mark:<5}", style), (f"{finding.name:<10}", "bold"), finding.said)
        if finding.remedy and not finding.ok:
            _line(_INDENT, finding.remedy)


def _print_settings(settings: Settings) -> None:
    for name, source in settings.sources.items():
        _line(f"     {name:<30} {_value(settings, name)}  ({source})")


def _value(settings: Settings, name: str) -> str:
    """As it would be written in the file; of `setup_env` the names alone, values may be secret."""
    limits = settings.limits
    match name:
        case "aws":
            return "none" if settings.aws is None else f"see {settings.file}"
        case "fix":
            return f"engine {settings.fix.engine or 'model'}, {len(settings.fix.models)} models"
        case "setup_env":
            return ", ".join(variable for variable, _ in settings.setup_env) or "none"
        case "limits.timeout_minutes":
            return f"{limits.timeout_s / 60:g}"
        case "limits.setup_timeout_minutes":
            return f"{limits.setup_timeout_s / 60:g}"
        case "limits.log_mib":
            return str(limits.log_bytes >> 20)
        case _:
            table, _, key = name.rpartition(".")
            value: object = getattr(limits if table else settings, key)
            return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of strings


def _line(*parts: str | tuple[str, str]) -> None:
    from rich.text import Text

    shown = [
        part.replace("\n", "\n" + _INDENT) if isinstance(part, str) else part for part in parts
    ]
    out().print(Text.assemble(*shown))
