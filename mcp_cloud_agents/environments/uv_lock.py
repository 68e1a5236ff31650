"""Python projects with `uv.lock`: exactly what is locked, the project itself editable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.environments.pyproject import (
    TEST_EXTRAS,
    TEST_GROUPS,
    manifests,
    version_env,
)
from mcp_cloud_agents.environments.python import VENV, Installation
from mcp_cloud_agents.environments.tree import table

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree


def detect(tree: Tree) -> Installation | None:
    """The installation of `uv.lock` at the top of the tree."""
    if not (tree.has("uv.lock") and tree.has("pyproject.toml")):
        return None
    project = tree.toml("pyproject.toml")
    extras = table(project, "project", "optional-dependencies")
    groups = table(project, "dependency-groups")
    options = [
        *(["--all-packages"] if table(project, "tool", "uv", "workspace") else []),
        *(f"--extra {name}" for name in TEST_EXTRAS if name in extras),
        *(f"--group {name}" for name in TEST_GROUPS if name in groups),
    ]
    return Installation(
        source="uv.lock",
        commands=(" ".join(["uv sync --frozen", *options]),),
        inputs=("uv.lock", *manifests(tree)),
        # without UV_PYTHON uv may replace the environment by one of the project's own Python
        setup_env=(("UV_PYTHON", f"{VENV}/bin/python"), *version_env(tree)),
    )
