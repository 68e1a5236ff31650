"""Snapshots that another machine submitted, out of the store that both share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.fetching import fetch
from mcp_cloud_agents.snapshots.shipping import Shipper

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.domain.job import Origin, Snapshot
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.snapshots.store import Repository, Stores


class FarBases:
    """Brings such snapshots; blocks.

    Args:
        stores: of this machine.
        open_store: gives the shared store, when it is needed.
    """

    def __init__(self, stores: Stores, open_store: Callable[[], Store]) -> None:
        self._stores = stores
        self._open = open_store

    def bring(self, snapshot: Snapshot, target: Origin, repository: Repository, into: str) -> None:
        """Bring a snapshot of the repository that `target` is a worktree of.

        Args:
            snapshot: of the job.
            target: on this machine.
            repository: the store of its snapshots.
            into: git dir for it; made when it is missing.

        Raises:
            BackendFailed: the shared store does not have it, or cannot be reached.
        """
        store = self._open()
        here = replace(snapshot, origin=target, repository=repository.id)
        key = Shipper(self._stores, store).repository_key(here)
        fetch(store, key, snapshot.commit, into)
