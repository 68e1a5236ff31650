"""Fresh checkouts: the snapshot, or the snapshot and a patch, in a workspace nothing has run in."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.snapshots.listing import fields, stale
from mcp_cloud_agents.storage.trees import remove_tree
from mcp_cloud_agents.worker.boxed_git import BoxedGit, GitStopped
from mcp_cloud_agents.worker.fix.lab import Stopped
from mcp_cloud_agents.worker.restore import restore
from mcp_cloud_agents.worker.setup import give_generated_files

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from mcp_cloud_agents.worker.fix.lab import Lab

_APPLY = """
git apply --index --binary --whitespace=nowarn /git/candidate.patch
git write-tree >/git/tree
"""
_ADD = """
path=$(cat /git/added-path)
mkdir -p -- "$(dirname -- "./$path")"
cp --remove-destination /git/added "./$path"
"""
_TOUCHED = """
git update-index -q --refresh >/dev/null 2>&1 || true
git diff-files --raw -z --ignore-submodules=all >/git/touched
"""
_NAMES = "git ls-files -z >/git/names\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A candidate's change, as bytes and as the tree that they must give."""

    diff: bytes
    tree: str


class DoesNotApply(Exception):
    """The bytes of a patch do not give its tree; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A workspace of its own; as a context it is gone at the end."""

    folder: str
    """Host folder of ours that holds it."""
    git: BoxedGit

    @property
    def workspace(self) -> str:
        """Host folder of the tree."""
        return self.git.workspace

    def names_in(self, folder: str) -> frozenset[str]:
        """Every path of the tree below a folder, as it was checked out, seen from the folder."""
        with stopped_in_git():
            self.git.run(_NAMES)
        names = (os.fsdecode(name) for name in fields(self.git.take("names")))
        prefix = f"{folder}/" if folder else ""
        return frozenset(name[len(prefix) :] for name in names if name.startswith(prefix))

    def add(self, path: str, data: bytes) -> None:
        """Put a file of ours into the tree, in the sandbox: folders on the way may be the job's."""
        self.git.give("added", data)
        self.git.give("added-path", os.fsencode(path))
        with stopped_in_git():
            self.git.run(_ADD, writable=True)

    def touched(self) -> frozenset[str]:
        """Paths of the tree that were changed since it was checked out."""
        with stopped_in_git():
            self.git.run(_TOUCHED)
        gone, changed = stale(self.git.take("touched"))
        return frozenset(os.fsdecode(name) for name in (*gone, *changed))

    def __enter__(self) -> Checkout:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove_tree(self.folder)


def checkout(lab: Lab, folder: str, change: Change | None = None) -> Checkout:
    """The snapshot in a fresh workspace below `folder`, with a change where there is one.

    Args:
        lab: what to work with.
        folder: a folder of ours, without a checkout yet.
        change: what to apply; the tree that comes of it is held against the one it shall be.

    Raises:
        DoesNotApply: the change does not give its tree.
        Stopped: the job was cancelled.
        NoSpace, IsolationUnavailable, BackendFailed: as for `restore`.
    """
    git = lab.git(folder)
    with stopped_in_git():
        restore(git, lab.spec.snapshot)
        if change is not None:
            _apply(git, change)
    if lab.env is not None:
        give_generated_files(lab.env, git.workspace, _Giving(lab))
    return Checkout(folder=folder, git=git)


@contextmanager
def stopped_in_git() -> Generator[None]:
    """Git that was ended for the job's own reasons ends the work."""
    try:
        yield
    except GitStopped as exc:
        if exc.kind in (CauseKind.CANCELLED, CauseKind.TIMEOUT):
            raise Stopped(exc.kind) from exc
        raise


def _apply(git: BoxedGit, change: Change) -> None:
    git.give("candidate.patch", change.diff)
    try:
        git.run(_APPLY, writable=True)
    except GitStopped:
        raise
    except BackendFailed as exc:
        raise DoesNotApply(exc.message) from exc
    found = git.take("tree", limit=128).decode("ascii", "replace").strip()
    if found != change.tree:
        raise DoesNotApply(f"The patch gives the tree {found}, not {change.tree}.")


class _Giving:
    """What giving generated files needs of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.sandbox = lab.sandbox
        self.limits = lab.spec.limits
        self.cancelled = lab.desk.cancelled
        self.log = lab.desk.log
