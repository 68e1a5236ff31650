"""A git worktree to take snapshots of, with an environment that knows nothing of this machine."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.storage.folder_store import FolderStore
from tests.unit.snapshots.shipped import Cloud, source

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_cloud_agents.domain.job import Snapshot


class Worktree:
    """A repository of a user, and our state folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.top = folder / "repo"
        self.state = folder / "state"
        for made in (self.home, self.top):
            made.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str, cwd: Path | None = None, ok: bool = True) -> str:
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@invalid",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@invalid",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *args],
            cwd=cwd or self.top,
            env=env,
            capture_output=True,
            check=ok,
        )
        return done.stdout.decode("utf-8", "surrogateescape")

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            target = self.top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())

    def commit(self, files: dict[str, str]) -> None:
        self.write(files)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def snapshots(self, rules: ScreenRules | None = None, *, state: str = "state") -> GitSnapshots:
        return GitSnapshots(
            str(self.state.parent / state), rules or ScreenRules(), home=str(self.home)
        )

    def take(self, rules: ScreenRules | None = None, *, top: Path | None = None) -> Snapshot:
        snapshots = self.snapshots(rules)
        return snapshots.take(snapshots.locate(str(top or self.top)))

    def held(self, snapshot: Snapshot) -> dict[str, tuple[str, bytes]]:
        """Mode and content of every path of a snapshot, as the store has it."""
        store = self.state / "repositories" / f"{snapshot.repository}.git"
        listing = self.git("ls-tree", "-r", "-z", snapshot.commit, cwd=store)
        found: dict[str, tuple[str, bytes]] = {}
        for record in listing.split("\0")[:-1]:
            head, path = record.split("\t", 1)
            mode, kind, oid = head.split()
            content = self.git("cat-file", "blob", oid, cwd=store) if kind == "blob" else oid
            found[path] = (mode, content.encode("utf-8", "surrogateescape"))
        return found

    def texts(self, snapshot: Snapshot) -> dict[str, str]:
        """Content of every path, as text."""
        return {path: content.decode() for path, (_, content) in self.held(snapshot).items()}

    def fingerprint(self, folder: Path | None = None) -> dict[str, str]:
        """sha256 of every file of a git dir."""
        root = folder or self.top / ".git"
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }


@pytest.fixture(scope="session")
def new_worktree() -> type[Worktree]:
    """For tests that make their own folders."""
    return Worktree


@pytest.fixture
def repo(tmp_path: Path) -> Worktree:
    return Worktree(tmp_path)


@pytest.fixture
def cloud(repo: Worktree, tmp_path: Path) -> Cloud:
    """A repository with three files, and an empty store."""
    repo.commit({"a": source(400), "deep/b": "1\n", "deep/er/c": "3\n"})
    return Cloud(repo, tmp_path, FolderStore(str(tmp_path / "shared")))
