"""Whether this workspace may be sent at all, and what its keys mean. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import WorkspaceNotAllowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.job import Origin


def scoped_key(key: str | None, origin: Origin) -> str | None:
    """An idempotency key as it is stored: one worktree's keys never mean another's jobs."""
    if key is None:
        return None
    return hashlib.sha256(f"{origin.workspace}\0{key}".encode(errors="replace")).hexdigest()


def check_root(origin: Origin, roots: Sequence[str]) -> None:
    """Check that the worktree lies in one of the allowed roots.

    Args:
        origin: the worktree, by its real path.
        roots: real paths; the worktree may be one of them or lie below one.

    Raises:
        WorkspaceNotAllowed: it does not.
    """
    top = origin.workspace.rstrip("/") + "/"
    if any(top.startswith(root.rstrip("/") + "/") for root in roots):
        return
    raise WorkspaceNotAllowed(
        f"The worktree {origin.workspace} is outside the roots this server may send.",
        hint="Start the server in that worktree, or let a person add it to allowed_roots in "
        "~/.config/mcp-cloud-agents/config.toml.",
    )
