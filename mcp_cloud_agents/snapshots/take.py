"""The recipe: from the files on disk to a tree, in the private git dir, the user's index only read.

Plumbing instead of `git add -A`: that one starts `git status` inside submodules, where the user's
filters would run, and dies of a nested repository without saying which. The index and what is on
disk are compared by git (`diff-files`, `ls-files -o`); what it names is looked at without following
links, screened, and handed to `update-index`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.caveats import caveats
from mcp_cloud_agents.snapshots.listing import (
    GITLINK,
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
from mcp_cloud_agents.storage.files import replace_quickly

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Origin
    from mcp_cloud_agents.snapshots.git import Git
    from mcp_cloud_agents.snapshots.private import PrivateGit
    from mcp_cloud_agents.snapshots.screen import ScreenRules

_MIB = 1 << 20
_LISTING = ("ls-files", "-s", "-t", "-z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """What the user's repository says, read once."""

    index: bytes
    """Output of `ls-files -s -t -z`."""
    object_format: str
    head_tree: str | None
    excludes: bytes
    """Content of the user's own ignore file (core.excludesFile)."""
    exclude: bytes
    """Content of info/exclude."""
    file_mode: bool
    """Whether the exec bit on disk means anything."""

    def fingerprint(self, rules: ScreenRules) -> str:
        """sha256 of all that decides the snapshot besides the files themselves."""
        digest = hashlib.sha256(repr((rules, self.file_mode)).encode())
        for part in (self.index, self.exclude, self.excludes):
            digest.update(b"%d\n" % len(part) + part)
        return digest.hexdigest()


def read_theirs(user: Git, origin: Origin, default_excludes: str) -> Theirs:
    """Ask the user's git, with the user's configuration; nothing is written."""
    head = () if origin.base_commit is None else (f"{origin.base_commit}^{{tree}}",)
    options = r"^core\.(excludesfile|filemode)$"
    with (
        user.start(*_LISTING) as listing,
        user.start("rev-parse", "--show-object-format", *head) as about,
        user.start("config", "-z", "--type=path", "--get-regexp", options) as settings,
    ):
        config, _, _ = settings.finish()
        object_format, *tree = about.output().decode().split()
        index = listing.output(strict=True)
    values = dict(record.split(b"\n", 1) for record in fields(config) if b"\n" in record)
    named = os.fsdecode(values.get(b"core.excludesfile", os.fsencode(default_excludes)))
    return Theirs(
        index=index,
        object_format=object_format,
        head_tree=tree[0] if tree else None,
        excludes=_content(os.path.join(origin.workspace, named)),
        exclude=_content(os.path.join(origin.common_dir, "info", "exclude")),
        file_mode=values.get(b"core.filemode", b"true").lower() not in (b"false", b"no", b"0"),
    )


def _content(path: str) -> bytes:
    """Content of a file of the user, which may be a link (dotfiles often are), or not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def take_tree(
    private: PrivateGit, user: Git, theirs: Theirs, rules: ScreenRules, known: Memory | None
) -> Memory:
    """Bring the private index up to what is on disk and write its tree.

    Args:
        private: the private git dir, locked and open.
        user: git on the user's repository, at the top of the worktree.
        theirs: what that said.
        rules: what untracked files may be in.
        known: the last snapshot; the same object comes back when nothing changed since.

    Raises:
        RefusedFiles: untracked files may not be sent; nothing was stored.
        UnreadableTree: a path cannot be read, or is a nested repository without a commit.
    """
    fingerprint = theirs.fingerprint(rules)
    excludes = os.path.join(private.folder, "info", "excludes")
    replace_quickly(os.path.join(private.folder, "info", "exclude"), theirs.exclude)
    replace_quickly(excludes, theirs.excludes)
    if known is not None and became_nested(private.git.cwd, known.untracked_folders):
        private.start_afresh()
        known = None
    mode = "true" if theirs.file_mode else "false"
    settings = (("core.excludesFile", excludes), ("core.fileMode", mode))
    git = replace(private.git, config=(*private.git.config, *settings))
    with git.start("diff-files", "--raw", "-z", "--ignore-submodules=all") as looking:
        others = set(fields(git.run("ls-files", "-o", "-z", "--exclude-standard", strict=True)))
        gone, changed = stale(looking.output(strict=True))
    if known is not None and not (gone or others) and holds(known, fingerprint, git.cwd):
        if not changed:
            return known
        if only_content(known, changed, git.cwd, large=rules.max_file_mib * _MIB):
            return _with_content(private, git, known, changed)
    update = _Update(git, theirs, rules)
    plan = update.plan(gone, changed, others)
    private.forget()
    memory = update.write(plan, user, fingerprint, known.large if known else ())
    private.remember(memory)
    return memory


def _with_content(private: PrivateGit, git: Git, known: Memory, changed: set[bytes]) -> Memory:
    """The usual case of a resubmit: no path is listed, parsed or judged again.

    A file that vanishes meanwhile is an error here (no `--remove`), and is looked at afresh.
    """
    private.forget()
    git.run("update-index", "-z", "--stdin", stdin=joined(sorted(changed)), strict=True)
    tree = _tree(git)
    memory = replace(known, tree=tree, commit=_commit(git, tree))
    private.remember(memory)
    return memory


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
        self._theirs = entries(theirs.index, self._parsed)
        self._ours = entries(git.run(*_LISTING), self._parsed)
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
        screen({path: look.size for path, look in untracked.items()}, self._rules)
        add = {p: s for p, s in present.items() if p in wanted}
        add.update((path, Seen(OnDisk.FOLDER)) for path in nested)
        return _Plan(
            remove=(gone | dropped | (seen.keys() - present.keys())) & self._ours.keys(),
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
        with git.start(*_LISTING) as listing:
            tree = _tree(git)
            commit = _commit(git, tree)
            held = entries(listing.output(), self._parsed)
        self._forget_nested(held)
        big = self._large(plan, large, held)
        return Memory(
            fingerprint=fingerprint,
            tree=tree,
            commit=commit,
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
