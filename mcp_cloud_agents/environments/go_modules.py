"""Go modules: downloaded in set-up; the proxy is off afterwards, so nothing is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.environments.host import Want
from mcp_cloud_agents.environments.part import CACHE, Part

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree

_FILES = ("go.mod", "go.sum", "go.work", "go.work.sum")


def wanted() -> Want:
    """Any go: a `toolchain` line makes go fetch the one it names, as a module."""
    return Want(name="go")


def detect(tree: Tree) -> Part | None:
    """The part of `go.mod` or `go.work` at the top of the tree; vendored modules need nothing."""
    if not (tree.has("go.mod") or tree.has("go.work")) or tree.has("vendor/modules.txt"):
        return None
    own = [name for name in _FILES if tree.has(name)]
    members = sorted(name for name in tree.files if name.endswith(("/go.mod", "/go.sum")))
    return Part(
        source=own[0],
        commands=("go mod download",),
        inputs=(*own, *members),
        env=(("GOMODCACHE", "/env/go/mod"),),
        # GOFLAGS: modules are otherwise unpacked read-only and could not be removed again
        setup_env=(("GOFLAGS", "-modcacherw"), ("GOCACHE", f"{CACHE}/go")),
        run_env=(("GOPROXY", "off"), ("GOSUMDB", "off")),
    )
