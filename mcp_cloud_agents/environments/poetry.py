"""Python projects with `poetry.lock`: poetry itself, run from a throw-away environment of uv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.environments.part import CACHE
from mcp_cloud_agents.environments.pyproject import TEST_EXTRAS, TEST_GROUPS, version_env
from mcp_cloud_agents.environments.python import Installation
from mcp_cloud_agents.environments.tree import table

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree

# Poetry looks into a bundle of its own; the system's store also has an organisation's certificate.
_TRUST = 'REQUESTS_CA_BUNDLE="${REQUESTS_CA_BUNDLE-$SSL_CERT_FILE}"'
_POETRY = f"{_TRUST} uv tool run 'poetry>=2,<3'"


def detect(tree: Tree) -> Installation | None:
    """The installation of `poetry.lock` at the top of the tree."""
    if not (tree.has("poetry.lock") and tree.has("pyproject.toml")):
        return None
    project = tree.toml("pyproject.toml")
    groups = {**table(project, "tool", "poetry", "group"), **table(project, "dependency-groups")}
    extras = {
        **table(project, "tool", "poetry", "extras"),
        **table(project, "project", "optional-dependencies"),
    }
    with_groups = [name for name in TEST_GROUPS if name in groups]
    options = [
        *([f"--with {','.join(with_groups)}"] if with_groups else []),
        *(f"--extras {name}" for name in TEST_EXTRAS if name in extras),
    ]
    return Installation(
        source="poetry.lock",
        commands=(" ".join([f"{_POETRY} install --no-interaction --compile", *options]),),
        inputs=("poetry.lock", "pyproject.toml"),
        setup_env=(
            ("POETRY_VIRTUALENVS_CREATE", "false"),
            ("POETRY_CACHE_DIR", f"{CACHE}/poetry"),
            ("UV_TOOL_DIR", f"{CACHE}/tools"),
            *version_env(tree),
        ),
    )
