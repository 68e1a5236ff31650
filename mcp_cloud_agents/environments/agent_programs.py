"""Finding the person's command-line agents, and showing jobs the one program of each, no more.

The person's settings and logins of an agent stay outside: it speaks to the job's gateway alone.
"""

from __future__ import annotations

import glob
import os
import platform
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.domain.setup import Toolchain
from mcp_cloud_agents.environments.reach import barred, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.environments.toolchains import Search

PROGRAMS = {Engine.CLAUDE_CODE: "claude", Engine.CODEX: "codex"}
_PACKAGES = {Engine.CLAUDE_CODE: "@anthropic-ai/claude-code", Engine.CODEX: "@openai/codex"}
_CPUS = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_OTHERS = 0o005
_NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe")
"""How programs for Linux and macOS begin; npm's entry points are scripts that start one."""


def agent_program(engine: Engine, search: Search) -> Toolchain:
    """The program of an engine, as jobs see it.

    Args:
        engine: one of `PROGRAMS`.
        search: the person's PATH, and who jobs run as.

    Raises:
        ModelUnusable: it is not installed, or jobs cannot reach it.
    """
    name, package = PROGRAMS[engine], _PACKAGES[engine]
    found = next(_native(engine, search), None)
    if found is None:
        raise ModelUnusable(
            f"The engine {engine} needs the program {name}, which is not installed here.",
            hint=f"Install it with: npm install -g {package}; or choose another engine.",
        )
    if search.job_uid is not None:
        stop = barred(os.path.dirname(found), search.job_uid)
        if stop is None and os.stat(found).st_mode & _OTHERS != _OTHERS:
            stop = found
        if stop is not None:
            raise ModelUnusable(
                f"The program {found} cannot be used: jobs run as user {search.job_uid}, who "
                f"cannot pass {stop}.",
                hint=f"Install {package} where every user can reach it, such as /usr/local.",
            )
    folder = f"/tools/{name}"
    bind = Bind(host=found, inside=f"{folder}/{name}")
    return Toolchain(name=str(engine), version="", binds=(bind,), path=(folder,))


def _native(engine: Engine, search: Search) -> Iterator[str]:
    """The program itself, looked for behind links and npm's scripts."""
    for folder in search.search_path.split(":"):
        if not os.path.isabs(folder) or (search.avoid and within(folder, search.avoid)):
            continue
        program = os.path.realpath(os.path.join(folder, PROGRAMS[engine]))
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            continue
        yield from (one for one in (program, *_packaged(engine, program)) if _is_native(one))


def _packaged(engine: Engine, script: str) -> Iterator[str]:
    """What npm put beside the script for this processor."""
    package = os.path.dirname(os.path.dirname(script))
    scope = os.path.dirname(_PACKAGES[engine])
    cpu = _CPUS.get(platform.machine(), platform.machine())
    for place in (os.path.dirname(package), os.path.join(package, "node_modules", scope)):
        pattern = f"{os.path.basename(_PACKAGES[engine])}-{platform.system().lower()}-{cpu}"
        beside = os.path.join(glob.escape(place), pattern)
        yield from glob.glob(os.path.join(beside, PROGRAMS[engine]))
        yield from glob.glob(os.path.join(beside, "vendor", "*", "bin", PROGRAMS[engine]))


def _is_native(program: str) -> bool:
    try:
        with open(program, "rb") as file:
            return file.read(4) in _NATIVE
    except OSError:
        return False
