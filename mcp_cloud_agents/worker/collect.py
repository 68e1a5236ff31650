"""Last phase of a job: what it changed in the tree, as a patch that can be trusted.

Tree to tree: git (in a sandbox of its own, the workspace read-only) lists what differs, we decide
what may be taken, git makes a tree of that, and the difference of the two trees is the patch. Every
name, mode and link in it is checked as data. Nothing the job left can make this fail hard: at worst
there is no patch and a note that says why.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed
from mcp_cloud_agents.domain.job import Snapshot
from mcp_cloud_agents.domain.patch import Patch, refusal, steers_tools
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.governance.redaction import NOTHING, Redactor
from mcp_cloud_agents.snapshots.listing import Disk, OnDisk, Seen, fields, joined, stale
from mcp_cloud_agents.storage.files import write_all
from mcp_cloud_agents.worker.boxed_git import BoxedGit, GitStopped
from mcp_cloud_agents.worker.patch_secrets import carries_secret, check_changes
from mcp_cloud_agents.worker.withheld import holds_secret

if TYPE_CHECKING:
    from collections.abc import Iterable


Refuse = Callable[[str], str | None]
NO_PATCH = "No patch: "
"""How the note begins that says why there is none."""
MAX_CHANGED_BYTES = 512 << 20
MAX_CHANGED_FILES = 100_000
_MAX_PATHS = 200
_MAX_NOTED = 10
_MAX_ODD = 10_000
_CHUNK = 1 << 20
_OBJECT = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")

_LIST_WITHIN_S = 120.0
_STEP = 2_000
"""After so many files a look at whether to go on."""
# Git carries no pipe, socket or device and says nothing of them; a pipe where it looks for a file
# of its own (.gitignore, a nested HEAD) makes it wait for ever.
_ODD = "\\( -type p -o -type s -o -type b -o -type c \\)"
# `ulimit -f` counts 512-byte blocks: 64 MiB of names, below 1 GiB of patch.
_LIST = f"""
ulimit -f 131072
find . {_ODD} -print0 >/git/odd 2>/dev/null || true
test ! -s /git/odd || exit 0
git diff-files --raw -z --ignore-submodules=all >/git/changed
git ls-files -o -z --exclude-standard >/git/others
"""
_REMOVE_ODD = f"find . {_ODD} -delete 2>/dev/null || true\n"
_WHICH_IGNORED = "git check-ignore -z --stdin </git/names >/git/ignored 2>/dev/null || true\n"
_HOW = "-r --no-renames --full-index --no-ext-diff --no-textconv --no-color"
_MAKE = """
ulimit -f 2097152
git update-index --force-remove -z --stdin </git/remove
git update-index --add --remove --replace -z --stdin </git/add
git update-index --replace -z --index-info </git/restore
new=$(git write-tree)
echo $new >/git/tree
git diff-tree {how} -z --raw {base} $new >/git/raw
git diff-tree {how} --raw {base} $new |
  sed -n 's/^:[0-7]* 120000 [0-9a-f]* \\([0-9a-f]*\\) .*/\\1/p' | git cat-file --batch >/git/links
git diff-tree {how} -z --numstat {base} $new >/git/numstat
git diff-tree {how} -p --binary {base} $new >/git/patch
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedPatch:
    """What the job changed; the bytes of a patch are in the file `patch.diff`."""

    patch: Patch | None
    notes: tuple[str, ...] = ()
    cancelled: bool = False
    """Whether there is no patch because the job was cancelled."""
    refused: tuple[tuple[str, str], ...] = ()
    """What was left out of the patch, or of none, each with its reason; at most 200."""


@dataclass(frozen=True, slots=True)
class _Change:
    """One entry of a tree-to-tree difference."""

    path: bytes
    old_mode: bytes
    old: bytes
    mode: str
    oid: bytes


@dataclass(frozen=True, slots=True)
class _Taken:
    """What may be taken from the workspace, and what not."""

    remove: list[bytes]
    add: list[bytes]
    size: int
    refused: dict[bytes, str] = field(default_factory=dict[bytes, str])


def collect_patch(
    git: BoxedGit,
    snapshot: Snapshot,
    folder: str,
    refuse: Refuse | None = None,
    redactor: Redactor = NOTHING,
) -> CollectedPatch:
    """What the job changed in its workspace, compared with the snapshot it was restored from.

    Args:
        git: the git that restored the workspace. The job's command has ended.
        snapshot: what was restored.
        folder: where to write `patch.diff`.
        refuse: why a path may not be changed besides, or None; such paths stay as in the snapshot.
        redactor: knows the job's secrets; a patch that holds one is withheld.
    """
    try:
        os.chmod(git.workspace, 0o700, follow_symlinks=True)  # a job may take it from itself
        said, odd = _list(git)
        taken = _choose(git, odd)
        # Who refuses paths collects again and again: the index is of the last time, not the base.
        if refuse is None and not (taken.remove or taken.add or taken.refused):
            return CollectedPatch(patch=None, notes=_unread(said))
        making = _Making(git, snapshot, folder, refuse or _nothing, redactor)
        return making.make(taken, _unread(said))
    except (AgentsError, OSError, ValueError, RecursionError, MemoryError) as exc:
        why = exc.message if isinstance(exc, AgentsError) else str(exc)
        cancelled = isinstance(exc, GitStopped) and exc.kind is CauseKind.CANCELLED
        notes = (f"{NO_PATCH}{redactor.known(render(why.encode()))[:400]}",)
        return CollectedPatch(patch=None, notes=notes, cancelled=cancelled)


def _list(git: BoxedGit) -> tuple[bytes, list[bytes]]:
    """Let git list what differs; what it complained about, and what it cannot carry."""
    said = git.run(_LIST, timeout_s=_LIST_WITHIN_S)
    odd = [path.removeprefix(b"./") for path in fields(git.take("odd"))[:_MAX_ODD]]
    if odd:
        git.run(_REMOVE_ODD, writable=True)
        said = git.run(_LIST, timeout_s=_LIST_WITHIN_S)
        git.give("names", joined(odd))
        git.run(_WHICH_IGNORED, timeout_s=_LIST_WITHIN_S)
        ignored = set(fields(git.take("ignored")))
        odd = [path for path in odd if path not in ignored]
    return said, odd


def _choose(git: BoxedGit, odd: list[bytes]) -> _Taken:
    gone, changed = stale(git.take("changed"))
    others = fields(git.take("others"))
    disk, refused = Disk(git.workspace), dict.fromkeys(odd, "a pipe, socket or device")
    add, size = list[bytes](), 0
    for number, path in enumerate((*changed, *others)):
        if number % _STEP == 0:
            git.check()
        seen = disk.look(path)
        if why := _refusal_on_disk(path, seen):
            refused[path.rstrip(b"/")] = why
        else:
            add.append(path)
            size += seen.size
    for path in gone:
        if why := refusal("000000", path):
            refused[path] = why
    if len(add) > MAX_CHANGED_FILES or size > MAX_CHANGED_BYTES:
        raise BackendFailed(
            f"the job changed {len(add)} files of {size >> 20} MiB, more than "
            f"{MAX_CHANGED_FILES} files or {MAX_CHANGED_BYTES >> 20} MiB.",
            hint="Let the job write large output to ignored paths.",
        )
    return _Taken([path for path in gone if path not in refused], add, size, refused)


def _refusal_on_disk(path: bytes, seen: Seen) -> str | None:
    if path.endswith(b"/"):
        return "nested repository"
    if seen.kind not in (OnDisk.FILE, OnDisk.LINK):
        return "not a regular file"
    if not seen.readable:
        return "not readable"
    return refusal("100644", path)


def _nothing(path: str) -> None:
    """Refuse none."""


@dataclass(frozen=True, slots=True)
class _Making:
    """From what may be taken to the patch."""

    git: BoxedGit
    snapshot: Snapshot
    folder: str
    refuse: Refuse
    redactor: Redactor

    def make(self, taken: _Taken, notes: tuple[str, ...]) -> CollectedPatch:
        """The patch without what is refused, which stays as it was in the snapshot."""
        git, refused = self.git, dict(taken.refused)
        git.give("remove", joined(taken.remove))
        git.give("add", joined(taken.add))
        changes = _tree(git, self.snapshot, [])
        if bad := _refused(git, changes, self.refuse):
            refused.update(bad)
            restore = [b"%s %s\t%s" % (c.old_mode, c.old, c.path) for c in changes if c.path in bad]
            git.give("remove", b"")
            git.give("add", b"")
            changes = _tree(git, self.snapshot, restore)
            if _refused(git, changes, self.refuse):
                why = "refused paths could not be left out."
                raise BackendFailed(why, hint="Look at the tree.")
        left_out = tuple(sorted((render(path), why) for path, why in refused.items()))[:_MAX_PATHS]
        if not changes:
            notes = (*notes, *_left_out(left_out))
            return CollectedPatch(patch=None, notes=notes, refused=left_out)
        self._check(changes)
        patch = _patch(git, self.snapshot, self.folder, changes, left_out)
        self._check_kept(patch)
        return CollectedPatch(patch=patch, notes=notes, refused=left_out)

    def _check(self, changes: list[_Change]) -> None:
        """Nothing in it may hold a secret of the job."""
        check_changes(self.git, [(c.path, c.old, c.oid) for c in changes], self.redactor)

    def _check_kept(self, patch: Patch) -> None:
        """Nor may the patch's own text, which has names and lines around the changed ones."""
        path = os.path.join(self.folder, "patch.diff")
        if self.redactor.longest and holds_secret(path, self.redactor):
            os.unlink(path)
            raise carries_secret(patch.paths)


def _tree(git: BoxedGit, snapshot: Snapshot, restore: list[bytes]) -> list[_Change]:
    git.give("restore", joined(restore))
    git.run(_MAKE.format(how=_HOW, base=snapshot.tree))
    return [_change(*pair) for pair in _pairs(fields(git.take("raw")))]


def _pairs(records: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(records[::2], records[1::2], strict=True)


def _change(head: bytes, path: bytes) -> _Change:
    old_mode, mode, old, oid, _ = head.lstrip(b":").split(b" ")
    if not (_OBJECT.fullmatch(old) and _OBJECT.fullmatch(oid)):
        raise BackendFailed("git's answer cannot be read.", hint="Submit the job again.")
    return _Change(path, old_mode.lstrip(b"0") or b"0", old, mode.decode(), oid)


def _refused(git: BoxedGit, changes: list[_Change], refuse: Refuse) -> dict[bytes, str]:
    targets = _blobs(git.take("links"))
    judged = (
        (c.path, refusal(c.mode, c.path, targets.get(c.oid, b"/")) or refuse(c.path.decode()))
        for c in changes
    )
    return {path: why for path, why in judged if why}


def _blobs(out: bytes) -> dict[bytes, bytes]:
    """Blobs of a `cat-file --batch`."""
    found: dict[bytes, bytes] = {}
    while out:
        head, out = out.split(b"\n", 1)
        oid, _, size = head.split(b" ")
        found[oid], out = out[: int(size)], out[int(size) + 1 :]
    return found


def _patch(
    git: BoxedGit,
    snapshot: Snapshot,
    folder: str,
    changes: list[_Change],
    left_out: tuple[tuple[str, str], ...],
) -> Patch:
    sha256, size = _keep(git, os.path.join(folder, "patch.diff"))
    counts = [line.split(b"\t", 2)[:2] for line in fields(git.take("numstat"))]
    paths = sorted(change.path.decode() for change in changes)
    return Patch(
        base_tree=snapshot.tree,
        tree=git.take("tree", limit=128).decode("ascii").strip(),
        base_commit=snapshot.commit,
        sha256=sha256,
        size_bytes=size,
        files=len(changes),
        insertions=sum(int(added) for added, _ in counts if added != b"-"),
        deletions=sum(int(deleted) for _, deleted in counts if deleted != b"-"),
        paths=tuple(paths[:_MAX_PATHS]),
        refused=left_out,
        sensitive=tuple(path for path in paths if steers_tools(path))[:_MAX_PATHS],
    )


def _keep(git: BoxedGit, path: str) -> tuple[str, int]:
    """Copy git's patch into a new file, whole or not at all; its sha256 and size."""
    digest, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        os.fdopen(git.open("patch"), "rb") as file,
        open(os.open(path, flags, 0o600), "wb") as kept,
    ):
        try:
            while data := file.read(_CHUNK):
                git.check()
                digest.update(data)
                size += len(data)
                write_all(kept.fileno(), data)
            os.fsync(kept.fileno())
        except BaseException:
            os.unlink(path)  # an artifact is read by its name
            raise
    return digest.hexdigest(), size


def _unread(said: bytes) -> tuple[str, ...]:
    """What git could not read is taken for unchanged; that has to be said."""
    lines = render(said).strip().splitlines()
    return (f"Taken for unchanged, git could not read: {lines[0][:200]}",) if lines else ()


def _left_out(refused: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    notes = [f"Left out of the patch: {path} ({why})." for path, why in refused[:_MAX_NOTED]]
    more = len(refused) - _MAX_NOTED
    return (*notes, f"Left out of the patch: {more} more.") if more > 0 else tuple(notes)
