"""What one source of a tree (a lock file, a manifest) adds to the set-up plan."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_cloud_agents.domain.sandbox import Bind

CACHE = "/env/.cache"
"""Where set-up keeps downloads and temporary files; removed before the environment is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a set-up plan; the fields are those of the plan."""

    source: str
    commands: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    setup_env: tuple[tuple[str, str], ...] = ()
    run_env: tuple[tuple[str, str], ...] = ()
    binds: tuple[Bind, ...] = ()
    tmpfs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
