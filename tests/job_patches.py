"""Patches as jobs leave them, made by git's plumbing: any content, mode and path, without a job."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcp_cloud_agents.domain.applied import Applied, ApplyMode, Change, Way
from mcp_cloud_agents.domain.job import JobId, Origin, Snapshot
from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.snapshots.apply.git_patches import GitPatches
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

JOB = JobId("j1m7zebz7wqqmyq88d9s8p6")
_HOW = ("-r", "-p", "--binary", "--full-index", "--no-renames", "--no-color")


@dataclass(frozen=True)
class File:
    """What a job puts at a path."""

    data: bytes
    mode: str = "100644"


Left = Mapping[str, File | str | None]
"""By path: a file, the text of one, or None for one that is removed."""


def link(target: str) -> File:
    return File(target.encode(), "120000")


def git(folder: Path, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
    base = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=t", "-c", "user.email=t@invalid")
    done = subprocess.run(
        ["git", *who, *args],
        cwd=folder,
        env={**base, **(env or {})},
        input=stdin,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape")


@dataclass
class Checkout:
    """A user's worktree, a state folder, and what jobs made of snapshots of it."""

    folder: Path
    top: Path = field(init=False)

    def __post_init__(self) -> None:
        self.top = self.folder / "repo"
        self.top.mkdir()
        git(self.top, "init", "-q", "-b", "main")

    @property
    def snapshots(self) -> GitSnapshots:
        return GitSnapshots(str(self.folder / "state"), ScreenRules(), home=str(self.folder))

    @property
    def patches(self) -> GitPatches:
        return GitPatches(self.snapshots)

    @property
    def origin(self) -> Origin:
        return self.snapshots.locate(str(self.top))

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            target = self.top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def commit(self, files: Mapping[str, str]) -> None:
        self.write(files)
        git(self.top, "add", "-A")
        git(self.top, "commit", "-qm", "x")

    def take(self) -> Snapshot:
        return self.snapshots.take(self.origin)

    def job(self, left: Left, snapshot: Snapshot | None = None) -> Change:
        """What a job on the tree as it is now would leave."""
        base = snapshot or self.take()
        scratch = self.folder / "scratch.git"
        if not scratch.exists():
            form = f"--object-format={base.object_format}"
            git(self.folder, "init", "-q", "--bare", form, str(scratch))
        store = self.folder / "state" / "repositories" / f"{base.repository}.git" / "objects"
        env = {"GIT_INDEX_FILE": "job.index", "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(store)}
        git(scratch, "read-tree", base.tree, env=env)
        lines = [_line(scratch, path, file, base.tree) for path, file in left.items()]
        git(scratch, "update-index", "-z", "--index-info", stdin=b"".join(lines), env=env)
        tree = git(scratch, "write-tree", env=env).strip()
        shown = subprocess.run(
            ["git", "diff-tree", *_HOW, base.tree, tree],
            cwd=scratch,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env},
            capture_output=True,
            check=True,
        )
        return forged(base, shown.stdout, tree)

    def apply(self, change: Change, mode: str = "worktree", **way: str | bool) -> Applied:
        how = replace(Way(mode=ApplyMode(mode)), **way)
        return self.patches.apply(change, self.origin, how)

    def content(self) -> dict[str, bytes | str]:
        """Every file and link of the worktree outside of its git dir: bytes, or where it leads."""
        found: dict[str, bytes | str] = {}
        for at, folders, names in os.walk(self.top):
            if ".git" in folders and Path(at) == self.top:
                folders.remove(".git")
            for name in (*names, *(f for f in folders if (Path(at) / f).is_symlink())):
                path = Path(at) / name
                key = str(path.relative_to(self.top))
                found[key] = str(path.readlink()) if path.is_symlink() else path.read_bytes()
            if not folders and not names:
                found[f"{os.path.relpath(at, self.top)}/"] = "empty"
        return found

    def git_dir(self) -> dict[str, str]:
        """sha256 of every file of the git dir."""
        root = self.top / ".git"
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }


def forged(snapshot: Snapshot, data: bytes, tree: str) -> Change:
    """A patch of these bytes that says it makes this tree."""
    patch = Patch(
        base_tree=snapshot.tree,
        tree=tree,
        base_commit=snapshot.commit,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        files=1,
        insertions=1,
        deletions=0,
        paths=("a",),
    )
    return Change(job_id=JOB, snapshot=snapshot, patch=patch, data=data)


def _line(scratch: Path, path: str, file: File | str | None, tree: str) -> bytes:
    if file is None:
        return b"0 %s\t%s\0" % (b"0" * len(tree), path.encode())
    made = File(file.encode()) if isinstance(file, str) else file
    oid = git(scratch, "hash-object", "-w", "--stdin", stdin=made.data).strip()
    return f"{made.mode} {oid}\t{path}\0".encode()
