"""Rust crates: fetched in set-up, built in the run phase into the workspace's `target`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.environments.host import Want
from mcp_cloud_agents.environments.part import Part

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree


def wanted() -> Want:
    """The person's default toolchain: the tree's `rust-toolchain` would make rustup install one."""
    return Want(name="rust")


def detect(tree: Tree) -> Part | None:
    """The part of `Cargo.toml` at the top of the tree."""
    if not tree.has("Cargo.toml"):
        return None
    locked = tree.has("Cargo.lock")
    members = sorted(name for name in tree.files if name.endswith("/Cargo.toml"))
    return Part(
        source="Cargo.lock" if locked else "Cargo.toml",
        commands=("cargo fetch --locked" if locked else "cargo fetch",),
        inputs=(*(["Cargo.lock"] if locked else []), "Cargo.toml", *members),
        env=(("CARGO_HOME", "/env/cargo"),),
        run_env=(("CARGO_NET_OFFLINE", "true"),),
    )
