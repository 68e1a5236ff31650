"""What every Python environment has in common: the interpreter, the virtual environment, uv."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.environments.host import Want
from mcp_cloud_agents.environments.part import CACHE, Part
from mcp_cloud_agents.environments.tree import table
from mcp_cloud_agents.environments.versions import release, satisfies

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.host import Host
    from mcp_cloud_agents.environments.tree import Tree

VENV = "/env/venv"
SYSTEM_PYTHON = "/usr/bin/python3"
PYTEST_IF_MISSING = f"test -x {VENV}/bin/pytest || uv pip install pytest"
"""For a tree whose tests run with pytest although nothing declares it."""
_VERSION_FILE = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How one source fills the virtual environment."""

    source: str
    commands: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    setup_env: tuple[tuple[str, str], ...] = ()


def wanted(tree: Tree) -> Want:
    """The Python this tree asks for: `.python-version` first, then its manifest."""
    pinned = tree.text(".python-version").strip().split("\n")[0].strip()
    if _VERSION_FILE.fullmatch(pinned):
        return Want(name="python", version=f"=={'.'.join(pinned.split('.')[:2])}.*")
    declared = table(tree.toml("pyproject.toml"), "project").get("requires-python")
    return Want(name="python", version=declared if isinstance(declared, str) else "")


def environment(tree: Tree, host: Host, installation: Installation) -> Part:
    """A virtual environment at `/env/venv` with what `installation` puts there.

    Installed packages are compiled to bytecode, because nobody can write beside them afterwards.
    """
    want = wanted(tree)
    found = host.toolchain("python")
    fits = satisfies(found.version, want.version) if found else not want.version
    if found is not None and fits:
        number = ".".join(str(part) for part in release(found.version)[:2])
        python = f"{found.path[0]}/python{number}"
    else:
        python = want.version or SYSTEM_PYTHON
    return Part(
        source=installation.source,
        commands=(
            f"uv venv --quiet --python {shlex.quote(python)} {VENV}",
            *installation.commands,
        ),
        inputs=installation.inputs,
        path=(f"{VENV}/bin",),
        env=(("VIRTUAL_ENV", VENV), ("UV_PROJECT_ENVIRONMENT", VENV)),
        setup_env=(*uv_env(download_python=not fits), *installation.setup_env),
        run_env=(("UV_NO_SYNC", "1"), ("UV_OFFLINE", "1"), ("UV_PYTHON_DOWNLOADS", "never")),
    )


def uv_env(*, download_python: bool) -> tuple[tuple[str, str], ...]:
    """Settings of uv in the set-up phase."""
    return (
        ("UV_CACHE_DIR", f"{CACHE}/uv"),
        ("UV_COMPILE_BYTECODE", "1"),
        ("UV_NO_PROGRESS", "1"),
        ("UV_PYTHON_DOWNLOADS", "automatic" if download_python else "never"),
        ("UV_PYTHON_INSTALL_DIR", "/env/python"),
    )
