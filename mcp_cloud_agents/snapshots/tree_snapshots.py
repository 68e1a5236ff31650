"""The port `Snapshots` over git: lock, recipe, store; one fresh start after damage."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed, RefusedFiles
from mcp_cloud_agents.domain.job import Snapshot
from mcp_cloud_agents.snapshots.apply.recovery import recover, was_cut_off
from mcp_cloud_agents.snapshots.apply.refusals import tree_errors
from mcp_cloud_agents.snapshots.git import Git, GitTooSlow, TreeMoved, user_env
from mcp_cloud_agents.snapshots.listing import fields
from mcp_cloud_agents.snapshots.private import PrivateGit
from mcp_cloud_agents.snapshots.store import Repository, Stores, compact, send
from mcp_cloud_agents.snapshots.take import take_tree
from mcp_cloud_agents.snapshots.theirs import TheirReader, Theirs
from mcp_cloud_agents.snapshots.worktree import Locator, user_git
from mcp_cloud_agents.storage.files import storage_errors
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from mcp_cloud_agents.domain.job import Origin
    from mcp_cloud_agents.snapshots.screen import ScreenRules
    from mcp_cloud_agents.snapshots.take import Taken

_LOOKS = 3
"""How often a tree is looked at while files change under the look."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A private git dir that is held and ready, and the repository it is of."""

    private: PrivateGit
    user: Git
    """On the user's repository, at the top of the worktree."""
    theirs: Theirs
    repository: Repository


class GitSnapshots:
    """Snapshots of git worktrees in a state folder; see `ports/snapshots.py` for the contract.

    Args:
        state_dir: the state folder.
        rules: what untracked files may be sent.
        home: the person's home folder, for the git configuration; None: this process's.
        config_home: the person's XDG_CONFIG_HOME; None: `.config` in the home folder.
    """

    def __init__(
        self,
        state_dir: str,
        rules: ScreenRules,
        *,
        home: str | None = None,
        config_home: str | None = None,
    ) -> None:
        self._state_dir = os.path.realpath(state_dir)
        self._rules = rules
        self._env = user_env(home, config_home)
        self._locator = Locator(self._env)
        self._reader = TheirReader(self._env)
        self._caches = os.path.join(self._state_dir, "snapshots")
        repositories = os.path.join(self._state_dir, "repositories")
        self.stores = Stores(repositories, shared=os.geteuid() == 0)
        """The object stores that snapshots are carried to."""

    def locate(self, workspace: str) -> Origin:
        """Find the worktree that holds `workspace`; `dirty` is only known after `take`."""
        return self._locator.locate(workspace)

    def take(self, origin: Origin) -> Snapshot:
        """Snapshot the tree as it is on disk and carry it to the store, durably."""
        with self.held(origin) as cache:
            notes = self._recovered(origin, cache)
            taken = self._take(origin, cache, self._rules)
        return replace(taken, warnings=(*notes, *taken.warnings)) if notes else taken

    def _recovered(self, origin: Origin, cache: str) -> tuple[str, ...]:
        """Half of a patch is in no snapshot."""
        if not was_cut_off(cache):
            return ()
        with tree_errors(origin.workspace):
            return recover(self.opened(origin, cache))

    @contextmanager
    def held(self, origin: Origin) -> Generator[str]:
        """The worktree's private git dir, which nobody else uses meanwhile."""
        with storage_errors(self._state_dir):
            os.makedirs(self._caches, mode=0o700, exist_ok=True)
            cache = os.path.join(self._caches, _key(origin))
            with locked(f"{cache}.lock"):
                yield cache

    def opened(self, origin: Origin, cache: str) -> Opened:
        """The private git dir, ready for use, and what the user's repository says; held."""
        user = user_git(origin.workspace, self._env)
        theirs = self._reader.read(user, origin)
        repository = self.stores.of(origin.common_dir, theirs.object_format)
        private = PrivateGit(
            cache,
            work_tree=origin.workspace,
            object_format=theirs.object_format,
            alternates=(repository.objects, os.path.join(origin.common_dir, "objects")),
        )
        private.open()
        return Opened(private, user, theirs, repository)

    def read(
        self, snapshot: Snapshot, paths: Sequence[str], *, limit_bytes: int
    ) -> Mapping[str, bytes]:
        """Content of those of `paths` that are regular files; one over the limit is left out."""
        inside = [path for path in paths if not {"", ".", ".."} & set(path.split("/"))]
        if not inside:
            return {}
        git = self.stores.get(snapshot.repository).git
        listing = ("--literal-pathspecs", "ls-tree", "-l", "-z", "--full-tree")
        wanted = git.run(*listing, snapshot.commit, "--", *inside)
        oids: dict[str, bytes] = {}
        for record in fields(wanted):
            head, path = record.split(b"\t", 1)
            mode, _, oid, size = head.split()
            if mode.startswith(b"100") and int(size) <= limit_bytes:
                oids[os.fsdecode(path)] = oid
        return dict(zip(oids, _blobs(git, oids.values()), strict=True))

    def names(self, snapshot: Snapshot) -> frozenset[str]:
        """Every path of the snapshot that is valid UTF-8."""
        git = self.stores.get(snapshot.repository).git
        out = git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", snapshot.commit)
        return frozenset(text for path in fields(out) if (text := _utf8(path)) is not None)

    def take_held(self, origin: Origin, cache: str) -> Snapshot:
        """The same as `take`, by whoever holds the private git dir; it is for this machine alone.

        So files that may not be sent are left out, and refuse nothing.
        """
        try:
            return self._take(origin, cache, self._rules)
        except RefusedFiles:
            return self._take(origin, cache, replace(self._rules, leave_out=True))

    def _take(self, origin: Origin, cache: str, rules: ScreenRules) -> Snapshot:
        for _ in range(_LOOKS - 1):
            try:
                return self._look(origin, cache, rules, full=False)
            except TreeMoved:
                continue
            except GitTooSlow:
                raise
            except BackendFailed:
                return self._look(origin, cache, rules, full=True)
        return self._look(origin, cache, rules, full=False)

    def _look(self, origin: Origin, cache: str, rules: ScreenRules, *, full: bool) -> Snapshot:
        if full:
            shutil.rmtree(cache, ignore_errors=True)
        opened = self.opened(origin, cache)
        private, user, theirs = opened.private, opened.user, opened.theirs
        repository = opened.repository
        known = private.recall()
        taken = take_tree(private, user, theirs, rules, known)
        sent = self._send(private, repository, taken, full=full)
        memory = taken.memory
        if memory != known:
            private.remember(memory)
        return Snapshot(
            repository=repository.id,
            object_format=theirs.object_format,
            commit=memory.commit,
            tree=memory.tree,
            files=memory.files,
            sent_bytes=sent,
            origin=replace(origin, dirty=memory.tree != theirs.head_tree),
            warnings=memory.warnings,
        )

    def _send(
        self, private: PrivateGit, repository: Repository, taken: Taken, *, full: bool
    ) -> int:
        memory = taken.memory
        if repository.has(memory.commit):
            return 0
        with self.stores.writing(repository):
            if taken.objects:
                form = private.object_format
                sent = repository.receive(taken.objects, commit=memory.commit, object_format=form)
            else:
                tree, commit = memory.tree, memory.commit
                sent = send(private.git, repository, tree=tree, commit=commit, full=full)
            if sent and compact(repository):
                private.tidy()
        return sent


def _key(origin: Origin) -> str:
    where = os.fsencode(origin.common_dir) + b"\0" + os.fsencode(origin.workspace)
    return hashlib.sha256(where).hexdigest()[:32]


def _blobs(git: Git, oids: Iterable[bytes]) -> list[bytes]:
    """Content of blobs, all by one process."""
    wanted = b"".join(oid + b"\n" for oid in oids)
    out = git.run("cat-file", "--batch", stdin=wanted) if wanted else b""
    found: list[bytes] = []
    at = 0
    while at < len(out):
        begin = out.index(b"\n", at) + 1
        end = begin + int(out[at:begin].split(b" ")[2])
        found.append(out[begin:end])
        at = end + 1
    return found


def _utf8(path: bytes) -> str | None:
    try:
        return path.decode()
    except UnicodeDecodeError:
        return None
