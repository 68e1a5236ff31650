"""Node projects: `npm ci` into the environment, shown at `node_modules` of the workspace.

Scripts of packages run: they do so inside the sandbox, without secrets, and many packages do not
work without them.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.environments.host import Want
from mcp_cloud_agents.environments.part import CACHE, Part
from mcp_cloud_agents.environments.tree import table

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree

LOCKS = ("npm-shrinkwrap.json", "package-lock.json")
MODULES = "/workspace/node_modules"
_WRITABLE = (".cache", ".vite", ".vite-temp")
"""Folders below node_modules that jest, babel, vite and vitest write to while tests run."""
_OPTIONS = "--no-audit --no-fund"
_MAX_NESTED = 100
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""The system's store. A node that is not the distribution's (nvm, volta) has one of its own, and
would not trust the certificate of an organisation's mirror."""


def wanted() -> Want:
    """Any node: `engines` is advice, and npm itself warns."""
    return Want(name="node")


def detect(tree: Tree) -> Part | None:
    """The part of `package.json` at the top of the tree."""
    if not tree.has("package.json") or _has_own_modules(tree):
        return None
    lock = next((name for name in LOCKS if tree.has(name)), None)
    if lock is None and not _declares_packages(tree):
        return None
    install = "npm ci" if lock else "npm install --no-package-lock"
    folders = " ".join(f"node_modules/{name}" for name in _WRITABLE)
    members = sorted(name for name in tree.files if name.endswith("/package.json"))
    return Part(
        source=lock or "package.json",
        commands=(f"{install} {_OPTIONS}", f"mkdir -p {folders}"),
        inputs=(*([lock] if lock else []), "package.json", *members),
        path=(f"{MODULES}/.bin",),
        env=(("npm_config_update_notifier", "false"),),
        setup_env=(
            ("npm_config_cache", f"{CACHE}/npm"),
            ("npm_config_progress", "false"),
            ("NODE_EXTRA_CA_CERTS", _CERTIFICATES),
            ("npm_config_fetch_retry_mintimeout", "1000"),  # its 10 s make a dead mirror cost 70 s
        ),
        run_env=(("npm_config_offline", "true"),),
        binds=_binds(tree, lock),
        tmpfs=tuple(f"{MODULES}/{name}" for name in _WRITABLE),
    )


def has_workspaces(tree: Tree) -> bool:
    """Whether packages below the top have manifests that belong to the installation."""
    return bool(_json(tree, "package.json").get("workspaces"))


def _has_own_modules(tree: Tree) -> bool:
    return tree.has("node_modules") or tree.has_folder("node_modules")


def _declares_packages(tree: Tree) -> bool:
    manifest = _json(tree, "package.json")
    kinds = ("dependencies", "devDependencies", "optionalDependencies")
    return any(table(manifest, kind) for kind in kinds) or "workspaces" in manifest


def _binds(tree: Tree, lock: str | None) -> tuple[Bind, ...]:
    """One for the top, one for each member of a workspace whose packages are not hoisted."""
    folders = {"node_modules"}
    for place in table(_json(tree, lock), "packages") if lock else ():
        top, mark, _ = place.partition("/node_modules/")
        if mark and not top.startswith("node_modules") and _is_folder_of(tree, top):
            folders.add(f"{top}/node_modules")
    return tuple(
        Bind(host=f"node/{folder}", inside=f"/workspace/{folder}")
        for folder in sorted(folders)[:_MAX_NESTED]
    )


def _is_folder_of(tree: Tree, folder: str) -> bool:
    """The lock file is untrusted: only folders of the tree itself, written in the plain way."""
    plain = posixpath.normpath(folder) == folder and ".." not in folder.split("/")
    return plain and tree.has(f"{folder}/package.json")


def _json(tree: Tree, name: str) -> dict[str, Any]:
    try:
        value = json.loads(tree.text(name) or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
