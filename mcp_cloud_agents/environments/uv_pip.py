"""Python projects without a lock file: manifest and requirement files in one installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.environments import pyproject, requirements
from mcp_cloud_agents.environments.python import Installation

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree


def detect(tree: Tree) -> Installation | None:
    """One resolution over all that the tree declares, so that versions agree."""
    files = requirements.chosen(tree)
    project = pyproject.arguments(tree)
    if not files and not project:
        return None
    own = [name for name in pyproject.MANIFESTS if project and tree.has(name)]
    read = requirements.with_included(tree, files)
    if project:  # setup.py and dynamic metadata often read requirement files
        read += tuple(name for name in sorted(tree.files) if name.endswith((".txt", ".in")))
    command = " ".join(["uv pip install", *project, *(f"-r {name}" for name in files)])
    return Installation(
        source=", ".join([*own, *files]),
        commands=(command,),
        inputs=tuple(dict.fromkeys((*own, *read))),
        setup_env=pyproject.version_env(tree) if project else (),
    )
