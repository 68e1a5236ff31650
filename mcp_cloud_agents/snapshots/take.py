"""The recipe: from the files on disk to a tree, in the private git dir, the user's index only read.

Plumbing instead of `git add -A`: that one starts `git status` inside submodules, where the user's
filters would run, and dies of a nested repository without saying which. The index and what is on
disk are compared by git (`diff-files`, `ls-files -o`); what it names is looked at without following
links, screened, and handed to `update-index`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.caveats import caveats
from mcp_cloud_agents.snapshots.edit import NotAnEdit, Taken, edit
from mcp_cloud_agents.snapshots.listing import (
    GITLINK,
    LISTING,
    Disk,
    Entry,
    OnDisk,
    Seen,
    ancestors,
    entries,
    fields,
    joined,
    stale,
)
from mcp_cloud_agents.snapshots.private import Memory
from mcp_cloud_agents.snapshots.screen import screen
from mcp_cloud_agents.snapshots.shortcut import became_nested, holds, only_content
from mcp_cloud_agents.storage.files import read_whole, replace_quickly

if TYPE_CHECKING:
    from mcp_cloud_agents.snapshots.git import Git
    from mcp_cloud_agents.snapshots.private import PrivateGit
    from mcp_cloud_agents.snapshots.screen import ScreenRules
    from mcp_cloud_agents.snapshots.theirs import Theirs

_MIB = 1 << 20
_RULES = ("exclude", "excludes")
"""Files of the private git dir: of the repository, and of its user."""


def take_tree(
    private: PrivateGit, user: Git, theirs: Theirs, rules: ScreenRules, known: Memory | None
) -> Taken:
    """Bring the private index up to what is on disk and write its tree.

    Args:
        private: the private git dir, locked and open.
        user: git on the user's repository, at the top of the worktree.
        theirs: what that said.
        rules: what untracked files may be in.
        known: the last snapshot; the same comes back when nothing changed since.

    Returns:
        The snapshot, for the caller to remember once it is in the store.

    Raises:
        RefusedFiles: untracked files may not be sent; nothing was stored.
        UnreadableTree: a path cannot be read, or is a nested repository without a commit.
    """
    fingerprint = theirs.fingerprint(rules)
    exclude, excludes = (os.path.join(private.folder, "info", name) for name in _RULES)
    for path, content in ((exclude, theirs.exclude), (excludes, theirs.excludes)):
        if read_whole(path) != content:
            replace_quickly(path, content)
    if known is not None and became_nested(private.git.cwd, known.untracked_folders):
        private.start_afresh()
        known = None
    mode = "true" if theirs.file_mode else "false"
    settings = (("core.excludesFile", excludes), ("core.fileMode", mode))
    git = replace(private.git, config=(*private.git.config, *settings))
    with (
        git.start("diff-files", "--raw", "-z", "--ignore-submodules=all") as looking,
        git.start("ls-files", "-o", "-z", "--exclude-standard") as listing,
        git.start("cat-file", "--batch", "-z") as reader,
    ):
        others = set(fields(listing.output(strict=True)))
        gone, changed = stale(looking.output(strict=True))
        if known is not None and not (gone or others) and holds(known, fingerprint, git.cwd):
            if not changed and not known.edited:
                return Taken(known)
            changed.update(path for path, _, _ in known.edited)
            if only_content(known, changed, git.cwd, large=rules.max_file_mib * _MIB):
                with suppress(NotAnEdit):
                    mode = theirs.file_mode
                    return edit(known, sorted(changed), git.cwd, file_mode=mode, reader=reader)
    update = _Update(git, theirs, rules)
    plan = update.plan(gone, changed, others)
    private.forget()
    return Taken(update.write(plan, user, fingerprint, known.large if known else ()))


def _tree(git: Git) -> str:
    return git.run("write-tree").decode().strip()


def _commit(git: Git, tree: str) -> str:
    return git.run("commit-tree", tree, "-m", "snapshot").decode().strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What to do to the private index."""

    remove: set[bytes]
    seed: dict[bytes, Entry]
    """Entries to put in from the user's index first: submodules, and modes without a file mode."""
    add: dict[bytes, Seen]
    untracked: dict[bytes, Seen]


class _Update:
    """One update of the private index."""

    def __init__(self, git: Git, theirs: Theirs, rules: ScreenRules) -> None:
        self._git = git
        self._file_mode = theirs.file_mode
        self._no_object = b"0" * (40 if theirs.object_format == "sha1" else 64)
        self._rules = rules
        self._parsed: dict[bytes, tuple[bytes, Entry]] = {}
        self._theirs = entries(theirs.index.listing, self._parsed)
        self._ours = entries(git.run(*LISTING), self._parsed)
        self._disk = Disk(git.cwd)

    def plan(self, gone: set[bytes], changed: set[bytes], others: set[bytes]) -> _Plan:
        """Decide, and refuse before anything is written."""
        extra = self._ours.keys() - self._theirs.keys()
        dropped = self._ignored() & extra if extra else set[bytes]()
        links = {p for p, e in (*self._theirs.items(), *self._ours.items()) if e.mode == GITLINK}
        nested = {path[:-1] for path in others if path.endswith(b"/")}
        files = {path for path in others if not path.endswith(b"/")}
        wanted = changed | files | links | (self._theirs.keys() - self._ours.keys())
        seen = {path: self._disk.look(path) for path in (wanted | extra) - dropped - gone}
        linked = {path for path in links & seen.keys() if seen[path].kind is OnDisk.FOLDER}
        present = {
            path: look
            for path, look in seen.items()
            if look.kind in (OnDisk.FILE, OnDisk.LINK) or path in linked
        }
        untracked = {p: s for p, s in present.items() if p not in self._theirs}
        hidden = screen({path: look.size for path, look in untracked.items()}, self._rules)
        add = {p: s for p, s in present.items() if p in wanted and p not in hidden}
        add.update((path, Seen(OnDisk.FOLDER)) for path in nested)
        return _Plan(
            remove=(gone | dropped | hidden | (seen.keys() - present.keys())) & self._ours.keys(),
            seed={path: self._theirs[path] for path in self._seeds(present)},
            add=add,
            untracked=untracked,
        )

    def _ignored(self) -> set[bytes]:
        """Entries that are ignored now, though once they were untracked or tracked."""
        return set(fields(self._git.run("ls-files", "-c", "-i", "-z", "--exclude-standard")))

    def _seeds(self, present: dict[bytes, Seen]) -> list[bytes]:
        return [
            path
            for path, entry in self._theirs.items()
            if path in present
            and (entry.mode == GITLINK or not self._file_mode)
            and (path not in self._ours or self._ours[path].mode != entry.mode)
        ]

    def write(self, plan: _Plan, user: Git, fingerprint: str, large: tuple[bytes, ...]) -> Memory:
        """Carry the plan out, write tree and commit."""
        lines = [b"0 %s\t%s" % (self._no_object, path) for path in plan.remove]
        lines += [b"%s %s\t%s" % (e.mode, e.oid, path) for path, e in plan.seed.items()]
        git = self._git
        if lines:
            git.run("update-index", "--replace", "-z", "--index-info", stdin=joined(lines))
        if plan.add:
            how = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
            git.run(*how, stdin=joined(sorted(plan.add)), strict=True)
        with git.start(*LISTING) as listing:
            tree = _tree(git)
            commit = _commit(git, tree)
            held = entries(listing.output(), self._parsed)
        self._forget_nested(held)
        big = self._large(plan, large, held)
        return Memory(
            fingerprint=fingerprint,
            tree=tree,
            commit=commit,
            edited=(),
            files=len(held),
            warnings=caveats(user, self._theirs, held, big),
            untracked_folders=self._untracked_folders(held),
            absent=tuple(sorted(self._theirs.keys() - held.keys())),
            only_tracked=held.keys() <= self._theirs.keys(),
            large=tuple(sorted(big)),
            submodules=any(entry.mode == GITLINK for entry in self._theirs.values()),
        )

    def _forget_nested(self, held: dict[bytes, Entry]) -> None:
        """Drop nested repositories from the index again.

        Git would not look into their folders when the repository is gone and the files are
        the worktree's own.
        """
        links = [p for p, e in held.items() if e.mode == GITLINK and p not in self._theirs]
        if links:
            self._git.run("update-index", "--force-remove", "-z", "--stdin", stdin=joined(links))

    def _large(
        self, plan: _Plan, before: tuple[bytes, ...], held: dict[bytes, Entry]
    ) -> set[bytes]:
        limit = self._rules.max_file_mib * _MIB
        now = {p for p, s in plan.add.items() if s.size > limit}
        return {p for p in now | (set(before) - plan.add.keys()) if p in held and p in self._theirs}

    def _untracked_folders(self, held: dict[bytes, Entry]) -> tuple[bytes, ...]:
        untracked = ancestors(path for path in held if path not in self._theirs)
        return tuple(sorted(untracked - ancestors(self._theirs)))
