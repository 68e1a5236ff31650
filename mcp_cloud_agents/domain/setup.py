"""How a job's environment is made: commands with network and without secrets, cached by a key."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_cloud_agents.domain.sandbox import Bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A language's programs outside /usr, shown read-only to the job."""

    name: str
    version: str
    binds: tuple[Bind, ...]
    path: tuple[str, ...]
    """Folders for PATH, as seen inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """The set-up of one environment.

    The commands run in order by `sh -c` in `folder` of a throw-away copy of the tree, with network,
    with `/env` writable. What they leave in `/env` is the environment; it is read-only afterwards.
    """

    commands: tuple[str, ...] = ()
    """Empty: the job needs no environment of its own."""
    key: str = ""
    """sha256 over repository, image, commands and inputs; names the cached environment."""
    folder: str = ""
    """Where below the top of the tree the commands start; empty: at the top."""
    inputs: tuple[str, ...] = ()
    """Paths below `folder` whose content is part of the key."""
    toolchains: tuple[Toolchain, ...] = ()
    path: tuple[str, ...] = ()
    """Folders of the environment put before the system's in PATH (e.g. `/env/venv/bin`)."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables that the environment needs in both phases (e.g. VIRTUAL_ENV)."""
    setup_env: tuple[tuple[str, str], ...] = ()
    """Variables of the set-up phase alone (e.g. UV_CACHE_DIR)."""
    run_env: tuple[tuple[str, str], ...] = ()
    """Variables of the run phase alone (e.g. GOPROXY=off)."""
    binds: tuple[Bind, ...] = ()
    """Parts of `/env` shown elsewhere as well; `host` is relative to the environment's folder
    (e.g. `node/node_modules` at `/workspace/node_modules`). Writable in set-up alone."""
    tmpfs: tuple[str, ...] = ()
    """Folders of the environment that get a private tmpfs in the run phase; set-up makes them."""
    notes: tuple[str, ...] = ()
    """What a person should know of it (e.g. a toolchain that jobs cannot reach)."""
    source: str = "nothing detected"
    """What it was made from, for people (e.g. `requirements.txt`)."""
