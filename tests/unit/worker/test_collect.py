"""From a snapshot to a workspace, and from what the job did there to a patch."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.worker.boxed_git import BoxedGit
from mcp_cloud_agents.worker.collect import CollectedPatch, collect_patch
from mcp_cloud_agents.worker.restore import restore

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot

JOB_UID = 62_000 if os.geteuid() == 0 else None
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
WHO = ("-c", "user.name=a", "-c", "user.email=a@invalid")


@dataclass
class Job:
    """A user's worktree and a job's folder, with what is between them."""

    top: Path
    folder: Path
    snapshots: GitSnapshots

    def __post_init__(self) -> None:
        self.user("init", "-q")

    def user(self, *args: str) -> str:
        command = ["git", *WHO, *args]
        done = subprocess.run(command, cwd=self.top, env=ENV, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def start(self) -> tuple[BoxedGit, Snapshot]:
        snapshot = self.snapshots.take(self.snapshots.locate(str(self.top)))
        state = self.top.parent / "state"
        git = BoxedGit(
            sandbox=Bubblewrap(),
            git_dir=str(self.folder / "git"),
            store=str(state / "repositories" / f"{snapshot.repository}.git"),
            workspace=str(self.folder / "workspace"),
            owner=JOB_UID,
        )
        restore(git, snapshot)
        return git, snapshot

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"


@pytest.fixture
def job(open_path: Path) -> Job:
    for name in ("repo", "state", "job"):
        (open_path / name).mkdir(mode=0o711)
    snapshots = GitSnapshots(str(open_path / "state"), ScreenRules(), home=str(open_path))
    return Job(open_path / "repo", open_path / "job", snapshots)


def test_nothing_done_is_no_patch(job: Job) -> None:
    (job.top / "a").write_text("1\n")
    git, snapshot = job.start()
    assert collect_patch(git, snapshot, str(job.folder)) == CollectedPatch(patch=None)
    assert not (job.folder / "patch.diff").exists()


def test_all_sorts_of_changes_make_a_patch_that_applies(job: Job) -> None:
    for name in ("edited", "gone", "run", "to_folder"):
        (job.top / name).write_text(f"{name}\n" * 3)
    (job.top / "to_file").mkdir()
    (job.top / "to_file" / "x").write_text("x")
    git, snapshot = job.start()
    work = job.workspace
    (work / "edited").write_text("edited\nchanged\nedited\n")
    (work / "gone").unlink()
    (work / "run").chmod(0o755)
    (work / "to_folder").unlink()
    (work / "to_folder").mkdir()
    (work / "to_folder" / "y").write_text("y\n")
    (work / "to_file" / "x").unlink()
    (work / "to_file").rmdir()
    (work / "to_file").write_text("file\n")
    (work / "bin").write_bytes(b"\x00\xff" * 50)
    (work / "link").symlink_to("edited")
    (work / ".github").mkdir()
    (work / ".github" / "ci.yml").write_text("x\n")
    found = collect_patch(git, snapshot, str(job.folder))
    diff = (job.folder / "patch.diff").read_bytes()
    assert found.patch is not None
    assert found == CollectedPatch(
        patch=Patch(
            base_tree=snapshot.tree,
            tree=found.patch.tree,
            base_commit=snapshot.commit,
            sha256=hashlib.sha256(diff).hexdigest(),
            size_bytes=len(diff),
            files=10,
            insertions=5,
            deletions=8,
            paths=(
                ".github/ci.yml", "bin", "edited", "gone", "link", "run", "to_file",
                "to_file/x", "to_folder", "to_folder/y",
            ),
            sensitive=(".github/ci.yml",),
        )
    )  # fmt: skip
    job.user("add", "-A")
    job.user("apply", "--index", str(job.folder / "patch.diff"))
    assert job.user("write-tree") == found.patch.tree


def test_ignored_files_of_the_job_are_left_out(job: Job) -> None:
    (job.top / ".gitignore").write_text("build/\n*.log\n")
    (job.top / "kept.log").write_text("tracked\n")
    job.user("add", "-Af")
    git, snapshot = job.start()
    (job.workspace / "build").mkdir()
    (job.workspace / "build" / "out").write_text("x" * 1_000)
    (job.workspace / "new.log").write_text("x")
    (job.workspace / "kept.log").write_text("changed\n")
    found = collect_patch(git, snapshot, str(job.folder))
    assert found.patch is not None
    assert found.patch.paths == ("kept.log",)


def test_a_sha256_repository_gives_a_patch(job: Job) -> None:
    subprocess.run(["rm", "-rf", job.top / ".git"], check=True)
    job.user("init", "-q", "--object-format=sha256")
    (job.top / "a").write_text("1\n")
    git, snapshot = job.start()
    (job.workspace / "a").write_text("2\n")
    (job.workspace / "bad").symlink_to("/etc")
    found = collect_patch(git, snapshot, str(job.folder))
    assert found.patch is not None
    assert (len(found.patch.tree), found.patch.paths) == (64, ("a",))


def test_a_submodule_in_the_tree_is_an_empty_folder_and_no_change(job: Job) -> None:
    commit = job.user("commit-tree", job.user("write-tree"), "-m", "x")
    (job.top / "sub").mkdir()
    job.user("update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    (job.top / "a").write_text("1\n")
    git, snapshot = job.start()
    (job.workspace / "sub" / "new").write_text("x")
    (job.workspace / "a").write_text("2\n")
    found = collect_patch(git, snapshot, str(job.folder))
    assert found.patch is not None
    assert found.patch.paths == ("a",)


def test_a_tracked_file_of_an_odd_name_stays_as_it_was(job: Job) -> None:
    (job.top / "new\nline").write_text("1\n")
    (job.top / "a").write_text("1\n")
    git, snapshot = job.start()
    (job.workspace / "new\nline").unlink()
    (job.workspace / "a").write_text("2\n")
    found = collect_patch(git, snapshot, str(job.folder))
    assert found.patch is not None
    assert (found.patch.paths, found.patch.refused) == (
        ("a",),
        (("new\nline", "control character in name"),),
    )


def test_another_tree_than_the_snapshots_is_no_restore(job: Job, open_path: Path) -> None:
    (job.top / "a").write_text("1\n")
    git, snapshot = job.start()
    other = replace(git, git_dir=str(open_path / "git2"), workspace=str(open_path / "work2"))
    with pytest.raises(BackendFailed):
        restore(other, replace(snapshot, tree="0" * 40))


@pytest.mark.parametrize("commit", ["0" * 40, "HEAD; rm -rf /"])
def test_a_snapshot_that_is_not_in_the_store_is_no_restore(
    job: Job, open_path: Path, commit: str
) -> None:
    (job.top / "a").write_text("1\n")
    git, snapshot = job.start()
    other = replace(git, git_dir=str(open_path / "git2"), workspace=str(open_path / "work2"))
    with pytest.raises(BackendFailed):
        restore(other, replace(snapshot, commit=commit))


def test_collecting_again_tells_the_same_and_puts_back_the_same(job: Job) -> None:
    (job.top / "a.py").write_text("old\n")
    (job.top / "test_a.py").write_text("test\n")
    git, snapshot = job.start()

    def collected() -> CollectedPatch:
        refuse = {"test_a.py": "a test", "conftest.py": "runner configuration"}.get
        return collect_patch(git, snapshot, str(job.folder), refuse)

    assert collected() == CollectedPatch(patch=None)
    for name in ("a.py", "test_a.py", "conftest.py"):
        (job.folder / "workspace" / name).write_text("new\n")
    first, again = collected(), collected()
    assert first == again
    assert first.patch is not None
    assert first.patch.paths == ("a.py",)
    assert first.refused == (("conftest.py", "runner configuration"), ("test_a.py", "a test"))
    (job.folder / "workspace/a.py").write_text("old\n")
    assert collected().patch is None
