"""A repository whose snapshots are shipped to a store and fetched from it."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.snapshots.fetching import fetch
from mcp_cloud_agents.snapshots.shipping import Shipper
from mcp_cloud_agents.snapshots.store import Stores

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.ports.store import Store

    from .conftest import Worktree


WORDS = random.Random(3)  # noqa: S311  no secret


class Cloud:
    """A shared store, shippers of several machines, and workers."""

    def __init__(self, repo: Worktree, folder: Path, store: Store) -> None:
        self.repo, self.folder, self.store = repo, folder, store

    def shipper(self, store: Store | None = None) -> Shipper:
        stores = Stores(str(self.repo.state / "repositories"), shared=False)
        return Shipper(stores, store or self.store)

    def ship(self, snapshot: Snapshot, *, afresh: bool = False) -> int:
        return self.shipper().ship(snapshot, afresh=afresh)

    def key(self, snapshot: Snapshot) -> str:
        return self.shipper().repository_key(snapshot)

    def fetch(self, snapshot: Snapshot, into: str = "worker.git") -> str:
        """The tree that a worker gets; its git dir is checked whole."""
        path = str(self.folder / into)
        fetch(self.store, self.key(snapshot), snapshot.commit, path)
        git(path, "fsck", "--full", "--connectivity-only")
        return git(path, "rev-parse", f"{snapshot.commit}^{{tree}}")

    def manifest(self, snapshot: Snapshot) -> dict[str, Any]:
        where = f"packs/{self.key(snapshot)}/{snapshot.commit}.json"
        return json.loads(self.store.get(where) or b"{}")

    def packs(self, snapshot: Snapshot) -> list[str]:
        """Keys of a snapshot's packs, in order."""
        named = [pack["sha256"] for pack in self.manifest(snapshot)["packs"]]
        return [f"packs/{self.key(snapshot)}/{name}.pack" for name in named]


def git(folder: str, *args: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *args], cwd=folder, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def source(lines: int) -> str:
    """Text that looks like a program and does not compress to nothing."""
    return "".join(f"    value_{WORDS.getrandbits(40):x} = call()\n" for _ in range(lines))


def edited(cloud: Cloud, text: str, path: str = "deep/b") -> Snapshot:
    cloud.repo.write({path: text})
    return cloud.repo.take()
