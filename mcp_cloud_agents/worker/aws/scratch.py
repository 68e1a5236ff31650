"""The worker's folder in its container: made at the start, gone at the end."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import StateUnusable
from mcp_cloud_agents.environments.reach import barred
from mcp_cloud_agents.environments.uv_program import uv_program
from mcp_cloud_agents.sandbox.uid_drop import SCRATCH
from mcp_cloud_agents.storage.trees import remove_tree
from mcp_cloud_agents.worker.places import Places

if TYPE_CHECKING:
    from types import TracebackType

_PASSED = ("environments", "repositories")
_OTHERS = ("/var/tmp", "/tmp")  # noqa: S108  mkdtemp makes folders of our own there


class Scratch:
    """A fresh folder that the jobs' user may pass through and not list.

    Args:
        job_id: for its name.
        owner: the jobs' user; None: this process's own.
    """

    def __init__(self, job_id: str, owner: int | None) -> None:
        self._job_id = job_id
        self._owner = owner
        self._path = ""

    def __enter__(self) -> Scratch:
        self._path = tempfile.mkdtemp(prefix=f"mca-{self._job_id}-", dir=_parent(self._owner))
        for folder in (self._path, *map(self.path, _PASSED)):
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, 0o711)  # noqa: S103  jobs pass through, and cannot list
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove_tree(self._path)

    def close(self) -> None:
        """Nobody but us passes any more: for a sandbox that moves what it shows."""
        os.chmod(self._path, 0o700)

    def path(self, name: str) -> str:
        """Something in it."""
        return os.path.join(self._path, name)

    def folder(self, name: str) -> str:
        """A folder in it that is ours alone, made."""
        os.makedirs(self.path(name), mode=0o700, exist_ok=True)
        return self.path(name)

    def places(self, *, tree: str = "/workspace") -> Places:
        """Where the job finds its things."""
        return Places(
            job=self._path,
            repositories=self.path("repositories"),
            environments=self.path("environments"),
            uv=uv_program(self.path("uv"), job_uid=self._owner),
            owner=self._owner,
            tree=tree,
            breakers=self.path("breakers"),
        )

    def show(self, folder: str) -> None:
        """Let the jobs' user read all of a folder that we made."""
        if self._owner is None:
            return
        for path, _, files in os.walk(folder):
            os.chmod(path, 0o755)  # noqa: S103  objects of the job's own tree
            for file in files:
                os.chmod(os.path.join(path, file), 0o644)


def _parent(owner: int | None) -> str:
    """A folder we can write to, and that the jobs' user can pass."""
    for folder in (SCRATCH, tempfile.gettempdir(), *_OTHERS):
        usable = os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
        if usable and (owner is None or barred(folder, owner) is None):
            return folder
    raise StateUnusable(
        f"The container has no folder to work in: {SCRATCH} cannot be written.",
        hint="Mount a writable volume at /scratch (docs/worker-image.md).",
    )
