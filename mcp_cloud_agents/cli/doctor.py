"""`doctor`: what works on this machine, what is enforced, and the remedy for what is missing."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mcp_cloud_agents.bootstrap import build_runner, job_owner, roots_of
from mcp_cloud_agents.cli.session import err, out
from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.sandbox.choose import drivers
from mcp_cloud_agents.settings import load

if TYPE_CHECKING:
    from mcp_cloud_agents.settings import Settings

_MIN_GIT = (2, 36)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool
    said: str
    remedy: str = ""


def doctor(
    *,
    verbose: Annotated[bool, typer.Option("--verbose", help="Also each setting's source.")] = False,
) -> None:
    """Really start a sandbox, look at git and the state folder, say what is missing."""
    try:
        settings = load()
    except AgentsError as exc:
        _print([Finding(name="settings", ok=False, said=exc.message, remedy=exc.hint)])
        raise typer.Exit(1) from exc
    findings = [
        _settings(settings),
        _git(),
        *_sandboxes(settings),
        _user(settings),
        _state(settings),
    ]
    _print(findings)
    if verbose:
        _print_settings(settings)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _settings(settings: Settings) -> Finding:
    changed = {name: source for name, source in settings.sources.items() if source != "default"}
    said = ", ".join(f"{name} from {source}" for name, source in changed.items())
    return Finding(name="settings", ok=True, said=said or "all defaults")


def _git() -> Finding:
    try:
        done = subprocess.run(
            ["git", "version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return Finding(name="git", ok=False, said=str(exc), remedy="Install git (apt install git).")
    words = done.stdout.split()
    version = tuple(int(part) for part in words[2].split(".")[:2])
    return Finding(
        name="git",
        ok=version >= _MIN_GIT,
        said=done.stdout.strip(),
        remedy=f"Install git {'.'.join(map(str, _MIN_GIT))} or newer.",
    )


def _sandboxes(settings: Settings) -> list[Finding]:
    """Every driver of this platform is started; one that is strong enough must work."""
    probes = [driver.probe() for driver in drivers(job_uid=job_owner(settings))]
    enough = any(
        probe.works and probe.level.satisfies(settings.required_isolation) for probe in probes
    )
    return [
        Finding(
            name="sandbox",
            ok=probe.works or enough,
            said=f"{probe.driver}: level {probe.level}; "
            + ", ".join(f"{limit} {how}" for limit, how in probe.limits)
            if probe.works
            else f"{probe.driver} does not start: {probe.problem}",
            remedy="" if probe.works else probe.remedy,
        )
        for probe in probes
    ] or [_no_driver(settings)]


def _no_driver(settings: Settings) -> Finding:
    return Finding(
        name="sandbox",
        ok=False,
        said=f"no sandbox of level {settings.required_isolation} exists for this platform",
        remedy="Use Linux with bubblewrap.",
    )


def _user(settings: Settings) -> Finding:
    owner = job_owner(settings)
    if owner is None:
        return Finding(name="user", ok=True, said=f"jobs run as you (uid {os.getuid()})")
    return Finding(name="user", ok=True, said=f"you are root: commands of jobs run as uid {owner}")


def _state(settings: Settings) -> Finding:
    try:
        build_runner()
    except AgentsError as exc:
        return Finding(name="state", ok=False, said=exc.message, remedy=exc.hint)
    roots = ", ".join(roots_of(settings))
    return Finding(name="state", ok=True, said=f"{settings.state_dir}; worktrees below {roots}")


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        mark, style = ("ok", "green") if finding.ok else ("FAIL", "bold red")
        out.print(
            Text.assemble((f"{mark:<5}", style), (f"{finding.name:<9}", "bold"), finding.said)
        )
        if finding.remedy and not finding.ok:
            err.print(Text(f"              {finding.remedy}"))


def _print_settings(settings: Settings) -> None:
    for name, source in settings.sources.items():
        out.print(Text(f"      {name:<28}{source}"))
