"""Set-up plans of trees given as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp_cloud_agents.agents.repository_config import DeclaredSetup
from mcp_cloud_agents.domain.setup import SetupPlan, Toolchain
from mcp_cloud_agents.environments import detect
from mcp_cloud_agents.environments.host import Host

PYTHON = Toolchain(name="python", version="3.11.2", binds=(), path=("/usr/bin",))


HOST = Host(image="debian 12", toolchains=(PYTHON,))


def a_plan(
    files: Mapping[str, str],
    *,
    runner: str | None = "pytest",
    declared: DeclaredSetup | None = None,
    host: Host = HOST,
    repository: str = "r",
    setup_env: Sequence[tuple[str, str]] = (),
) -> SetupPlan:
    content = {name: text.encode() for name, text in files.items()}

    def read(paths: Sequence[str]) -> Mapping[str, bytes]:
        return {path: content[path] for path in paths if path in content}

    tree = detect.gather(frozenset(files), read, declared=declared)
    return detect.plan(
        tree, host, repository=repository, runner=runner, declared=declared, setup_env=setup_env
    )
