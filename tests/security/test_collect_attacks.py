"""Attacks of a job on the collection of its results: each one is a tree that it leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import Snapshot
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.worker.boxed_git import BoxedGit
from mcp_cloud_agents.worker.collect import CollectedPatch, collect_patch
from mcp_cloud_agents.worker.restore import restore

JOB_UID = 62_000 if os.geteuid() == 0 else None


ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}


@dataclass
class Finished:
    """A job whose command has ended."""

    git: BoxedGit
    snapshot: Snapshot
    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def collect(self) -> CollectedPatch:
        """As the worker does; all that the attack wrote belongs to the job's user."""
        if JOB_UID is not None:
            subprocess.run(["chown", "-hR", f"{JOB_UID}:{JOB_UID}", self.workspace], check=True)
        return collect_patch(self.git, self.snapshot, str(self.folder))

    def diff(self) -> str:
        return (self.folder / "patch.diff").read_text()

    @property
    def ran(self) -> Path:
        """What foreign code creates when it runs: writable for everybody."""
        return self.folder / "open" / "ran"


@pytest.fixture
def job(open_path: Path) -> Finished:
    top, state, folder = open_path / "repo", open_path / "state", open_path / "job"
    for made in (top, state, folder):
        made.mkdir(mode=0o711)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (top / "a.py").write_text("one\n")
    (top / "dir").mkdir()
    (top / "dir" / "b.py").write_text("two\n")
    subprocess.run(["git", "init", "-q"], cwd=top, env=ENV, check=True)
    snapshots = GitSnapshots(str(state), ScreenRules(), home=str(open_path))
    snapshot = snapshots.take(snapshots.locate(str(top)))
    git = BoxedGit(
        sandbox=Bubblewrap(),
        git_dir=str(folder / "git"),
        store=str(state / "repositories" / f"{snapshot.repository}.git"),
        workspace=str(folder / "workspace"),
        owner=JOB_UID,
        timeout_s=30.0,
    )
    restore(git, snapshot)
    return Finished(git, snapshot, folder)


def edit(job: Finished) -> None:
    (job.workspace / "a.py").write_text("one\nmore\n")


def assert_only_the_edit(job: Finished, found: CollectedPatch) -> None:
    assert found.patch is not None
    assert (found.patch.paths, found.patch.insertions) == (("a.py",), 1)
    assert not job.ran.exists()


def evil_repository(folder: Path, ran: Path) -> None:
    """A git dir whose every configured program leaves a trace."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, env=ENV, check=True)
    trap = folder / ".git" / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    trap.chmod(0o755)
    config = folder / ".git" / "config"
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.process", "diff.evil.textconv",
                "diff.external", "core.sshCommand", "core.pager", "core.editor"):  # fmt: skip
        subprocess.run(["git", "config", "-f", config, key, str(trap)], env=ENV, check=True)
    for hook in ("post-index-change", "reference-transaction", "pre-commit", "post-checkout"):
        shutil.copy(trap, folder / ".git" / "hooks" / hook)
    (folder / ".gitattributes").write_text("* filter=evil diff=evil\n")


def test_attack_hooks_filters_and_monitor_of_a_planted_git_dir(job: Finished) -> None:
    evil_repository(job.workspace, job.ran)
    (job.workspace / ".gitattributes").unlink()
    edit(job)
    assert_only_the_edit(job, job.collect())


def test_attack_filters_of_a_nested_repository(job: Finished) -> None:
    evil_repository(job.workspace / "dir", job.ran)
    (job.workspace / "dir" / ".gitattributes").unlink()
    edit(job)
    assert_only_the_edit(job, job.collect())


def test_attack_git_file_that_points_to_another_git_dir(job: Finished) -> None:
    evil_repository(job.workspace / "elsewhere", job.ran)
    (job.workspace / ".git").write_text("gitdir: elsewhere/.git\n")
    edit(job)
    found = job.collect()
    assert_only_the_edit(job, found)
    assert found.patch is not None
    assert found.patch.refused == (("elsewhere", "nested repository"),)


def test_attack_nested_repository_without_a_commit(job: Finished) -> None:
    subprocess.run(["git", "init", "-q", "nested"], cwd=job.workspace, env=ENV, check=True)
    edit(job)
    found = job.collect()
    assert found.patch is not None
    assert (found.patch.paths, found.patch.refused) == (
        ("a.py",),
        (("nested", "nested repository"),),
    )


def test_attack_attributes_that_hide_a_change_in_the_patch(job: Finished) -> None:
    (job.workspace / ".gitattributes").write_text("*.py -diff binary\n*.py diff=evil\n")
    edit(job)
    found = job.collect()
    assert found.patch is not None
    assert found.patch.sensitive == (".gitattributes",)
    assert "+more\n" in job.diff()


def test_attack_attributes_that_change_the_bytes(job: Finished) -> None:
    attributes = "* text eol=crlf ident working-tree-encoding=UTF-16\n"
    (job.workspace / ".gitattributes").write_text(attributes)
    (job.workspace / "a.py").write_bytes(b"one\r\n$Id$\n")
    assert job.collect().patch is not None
    assert b"+one\r\n+$Id$\n" in (job.folder / "patch.diff").read_bytes()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "dir/../../x", ".git/config"])
def test_attack_symlink_that_leaves_the_tree(job: Finished, target: str) -> None:
    (job.workspace / "link").symlink_to(target)
    edit(job)
    found = job.collect()
    assert found.patch is not None
    assert found.patch.paths == ("a.py",)
    assert [path for path, _ in found.patch.refused] == ["link"]


def test_attack_symlinked_folder_over_a_tracked_one(job: Finished) -> None:
    shutil.rmtree(job.workspace / "dir")
    (job.workspace / "dir").symlink_to("/etc")
    found = job.collect()
    assert found.patch is not None
    assert found.patch.paths == ("dir/b.py",)
    assert found.patch.refused == (("dir", "symlink leaves the tree"),)
    assert "root:" not in job.diff()


def test_attack_symlink_inside_the_tree_is_kept(job: Finished) -> None:
    (job.workspace / "dir" / "link").symlink_to("../a.py")
    found = job.collect()
    assert found.patch is not None
    assert (found.patch.paths, found.patch.refused) == (("dir/link",), ())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b".GIT/config", "inside a git directory"),
        (b".Git", "inside a git directory"),
        (b"git~1/hooks/x", "inside a git directory"),
        (b".git ", "inside a git directory"),
        (".g\u200cit/config".encode(), "inside a git directory"),
        (b"new\nline", "control character in name"),
        (b"esc\x1b[2J", "control character in name"),
        (b"bad\xff", "name is not UTF-8"),
    ],
)
def test_attack_names_that_mean_something_else(job: Finished, name: bytes, why: str) -> None:
    target = os.path.join(os.fsencode(job.workspace), name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(b"x")
    edit(job)
    found = job.collect()
    assert found.patch is not None
    assert found.patch.paths == ("a.py",)
    assert [reason for _, reason in found.patch.refused] == [why]


def test_attack_only_refused_changes_give_no_patch_but_notes(job: Finished) -> None:
    (job.workspace / "link").symlink_to("/etc/shadow")
    (job.workspace / "bad\x1b").write_text("x")
    assert job.collect() == CollectedPatch(
        patch=None,
        notes=(
            "Left out of the patch: bad\ufffd (control character in name).",
            "Left out of the patch: link (symlink leaves the tree).",
        ),
        refused=(
            ("bad\ufffd", "control character in name"),
            ("link", "symlink leaves the tree"),
        ),
    )


def test_attack_fifos_and_sockets_in_the_tree(job: Finished) -> None:
    os.mkfifo(job.workspace / "pipe")
    (job.workspace / "dir" / "b.py").unlink()
    os.mkfifo(job.workspace / "dir" / "b.py")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(job.workspace / "socket"))
    edit(job)
    found = job.collect()
    assert found.patch is not None
    why = "a pipe, socket or device"
    assert found.patch.paths == ("a.py",)
    assert found.patch.refused == (("dir/b.py", why), ("pipe", why), ("socket", why))


def test_attack_socket_over_a_tracked_file(job: Finished) -> None:
    (job.workspace / "dir" / "b.py").unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(job.workspace / "dir" / "b.py"))
    edit(job)
    found = job.collect()
    assert_only_the_edit(job, found)
    assert found.patch is not None
    assert found.patch.refused == (("dir/b.py", "a pipe, socket or device"),)


@pytest.mark.parametrize(
    "name", [".gitignore", ".gitattributes", "dir/.gitignore", "dir/.git/HEAD", ".git/HEAD"]
)
def test_attack_pipe_that_git_would_read_for_ever(job: Finished, name: str) -> None:
    (job.workspace / name).parent.mkdir(exist_ok=True)
    os.mkfifo(job.workspace / name)
    edit(job)
    assert_only_the_edit(job, job.collect())


def test_attack_git_file_that_leads_git_to_a_pipe(job: Finished) -> None:
    (job.workspace / "new").mkdir()
    (job.workspace / "new" / ".git").write_text("gitdir: ../elsewhere\n")
    for name in ("objects", "refs"):
        (job.workspace / "elsewhere" / name).mkdir(parents=True)
    os.mkfifo(job.workspace / "elsewhere" / "HEAD")
    edit(job)
    assert_only_the_edit(job, job.collect())


def test_attack_gigabyte_file(job: Finished) -> None:
    with open(job.workspace / "huge", "wb") as file:
        os.ftruncate(file.fileno(), 20 << 30)
    found = job.collect()
    assert found.patch is None
    assert re.search("No patch: the job changed 1 files of 20480 MiB, more than", found.notes[0])


def test_attack_more_files_than_anybody_reads(
    job: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_cloud_agents.worker.collect.MAX_CHANGED_FILES", 100)
    for number in range(101):
        (job.workspace / f"file{number}").write_text("")
    found = job.collect()
    assert found.patch is None
    # The two of the snapshot are looked at as well when a second has passed before the chown.
    assert re.search("the job changed 10[1-3] files", found.notes[0])


def test_attack_tree_deeper_than_paths_can_be(job: Finished) -> None:
    fd = os.open(job.workspace, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("deep", dir_fd=fd)
        below = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    edit(job)
    found = job.collect()
    subprocess.run(["rm", "-rf", job.workspace], check=True)
    assert found.patch is None or found.patch.paths == ("a.py",)
    assert found.notes


def test_attack_what_cannot_be_read_is_told_and_kept_as_it_was(job: Finished) -> None:
    (job.workspace / "dir").chmod(0)
    (job.workspace / "closed").write_text("x")
    (job.workspace / "closed").chmod(0)
    edit(job)
    found = job.collect()
    (job.workspace / "dir").chmod(0o700)
    assert found.patch is not None
    assert (found.patch.paths, found.patch.refused) == (("a.py",), (("closed", "not readable"),))
    assert found.notes[0].startswith("Taken for unchanged, git could not read:")


def test_attack_workspace_that_nobody_may_enter(job: Finished) -> None:
    edit(job)
    job.workspace.chmod(0)
    assert_only_the_edit(job, job.collect())


def test_attack_ignore_file_that_hides_changes(job: Finished) -> None:
    (job.workspace / ".gitignore").write_text("*\n")
    (job.workspace / "hidden").write_text("x")
    edit(job)
    found = job.collect()
    assert found.patch is not None
    assert found.patch.paths == ("a.py",)


def test_attack_edit_with_old_size_and_old_times(job: Finished) -> None:
    target = job.workspace / "a.py"
    before = target.stat()
    target.write_text("two\n")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = job.collect()
    assert found.patch is not None
    assert "-one\n+two\n" in job.diff()


def test_attack_modules_and_programs_that_shadow_ours(job: Finished) -> None:
    for name in ("json.py", "os.py", "re.py", "sitecustomize.py", "git", "sed", "find", "sh"):
        target = job.workspace / name
        target.write_text(f"#!/bin/sh\ntouch {job.ran}\n")
        target.chmod(0o755)
    edit(job)
    found = job.collect()
    assert found.patch is not None
    assert len(found.patch.paths) == 9
    assert not job.ran.exists()


def test_attack_content_that_looks_like_a_patch(job: Finished) -> None:
    (job.workspace / "b").write_text("x\ndiff --git a/.git/config b/.git/config\n--- a\n+++ b\n")
    found = job.collect()
    assert found.patch is not None
    assert (found.patch.paths, found.patch.insertions) == (("b",), 4)
