"""A set-up that the repository declares in `.cloud-agents/config.toml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.environments.part import CACHE, Part
from mcp_cloud_agents.environments.python import VENV, uv_env

if TYPE_CHECKING:
    from mcp_cloud_agents.agents.repository_config import DeclaredSetup
    from mcp_cloud_agents.environments.host import Host
    from mcp_cloud_agents.environments.tree import Tree


def part(tree: Tree, host: Host, declared: DeclaredSetup) -> Part:
    """Its commands, with the tools' folders set as for a detected set-up.

    What the commands put in `/env/bin` or `/env/venv` is on the PATH of the run phase.
    """
    fallback = () if host.toolchain("python") else (("UV_PYTHON", "/usr/bin/python3"),)
    return Part(
        source=".cloud-agents/config.toml",
        commands=declared.commands,
        inputs=declared.input_names(tree.names),
        path=("/env/bin", f"{VENV}/bin"),
        env=(
            ("VIRTUAL_ENV", VENV),
            ("UV_PROJECT_ENVIRONMENT", VENV),
            ("GOMODCACHE", "/env/go/mod"),
            ("CARGO_HOME", "/env/cargo"),
        ),
        setup_env=(
            *uv_env(download_python=True),
            *fallback,
            ("npm_config_cache", f"{CACHE}/npm"),
            ("GOFLAGS", "-modcacherw"),
        ),
        run_env=(("UV_NO_SYNC", "1"), ("UV_OFFLINE", "1"), ("CARGO_NET_OFFLINE", "true")),
    )
