"""The part of `doctor` about fixing: models, the library that asks them, and their keys.

Keys are resolved as the worker does it, and no value is shown.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.finding import Finding
from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.settings import variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.settings import Settings

_NAME = "fixing"


def fixing(settings: Settings) -> list[Finding]:
    """Which models fixing subagents may use, and whether the library and the keys are there."""
    policy = settings.fix
    if not policy.models:
        said = 'no model is configured; fix_in_sandbox runs engine "command" alone'
        return [Finding(name=_NAME, ok=True, said=said)]
    routes = ", ".join(f"{one.provider} {one.model}" for one in policy.models)
    models = Finding(name=_NAME, ok=True, said=f"{routes}; at most {policy.max_usd:g} USD a job")
    return [models, *_library(), *_keys(settings)]


def _library() -> Iterator[Finding]:
    if importlib.util.find_spec("pydantic_ai_harness") is None:
        yield Finding(
            name=_NAME,
            ok=False,
            said="the built-in engine's library is not installed",
            remedy="pip install 'mcp-cloud-agents[fix]'",
        )


def _keys(settings: Settings) -> Iterator[Finding]:
    for reference in dict.fromkeys(one.key for one in settings.fix.models if one.key):
        variable = reference.removeprefix("env:") if reference.startswith("env:") else ""
        if variable and not variables([variable]):
            yield _unset(variable, cloud=settings.aws is not None)
        else:
            yield _resolved(reference, cloud=settings.aws is not None)


def _unset(variable: str, *, cloud: bool) -> Finding:
    """Not wrong where jobs go to AWS: there it is the container that needs it."""
    said = f"key env:{variable}: not set in this terminal"
    return Finding(
        name=_NAME,
        ok=cloud,
        said=f"{said}; jobs in AWS take it from their container" if cloud else said,
        remedy=f"Set {variable} here, and for the MCP server where its client starts it "
        f'(Codex: env_vars = ["{variable}"]; Claude Code: "env").',
    )


def _resolved(reference: str, *, cloud: bool) -> Finding:
    from mcp_cloud_agents.worker.fix.keys import key_of

    try:
        key_of(reference, variables([reference.removeprefix("env:")]))
    except ModelUnusable as exc:
        return Finding(name=_NAME, ok=False, said=exc.message, remedy=exc.hint)
    if reference.startswith("env:"):
        there = "; jobs in AWS take it from their container" if cloud else ""
        return Finding(name=_NAME, ok=True, said=f"key {reference}: set here{there}")
    there = "; jobs in AWS cannot read it" if cloud else ""
    return Finding(name=_NAME, ok=True, said=f"key {reference}: readable{there}")
