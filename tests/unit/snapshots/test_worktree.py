"""Finding worktrees: the right top, and plain words where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.errors import NotAWorktree
from mcp_cloud_agents.domain.job import Origin
from mcp_cloud_agents.snapshots.worktree import top_of

if TYPE_CHECKING:
    from conftest import Worktree


def test_a_subfolder_belongs_to_the_top_of_its_worktree(repo: Worktree) -> None:
    repo.commit({"deep/down/x": "1"})
    git_dir = str(repo.top / ".git")
    assert repo.snapshots().locate(str(repo.top / "deep" / "down")) == Origin(
        workspace=str(repo.top),
        git_dir=git_dir,
        common_dir=git_dir,
        base_commit=repo.git("rev-parse", "HEAD").strip(),
        branch="main",
        dirty=True,
        folder="deep/down",
    )


def test_a_linked_worktree_names_its_own_git_dir(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    linked = repo.top.parent / "linked"
    repo.git("worktree", "add", "-q", "-b", "feature/x", str(linked))
    found = repo.snapshots().locate(str(linked))
    assert (found.workspace, found.git_dir, found.common_dir, found.branch) == (
        str(linked),
        str(repo.top / ".git" / "worktrees" / "linked"),
        str(repo.top / ".git"),
        "feature/x",
    )


def test_a_submodule_is_a_worktree_of_its_own(repo: Worktree) -> None:
    inner = repo.top.parent / "inner"
    inner.mkdir()
    repo.git("init", "-q", cwd=inner)
    repo.git("commit", "-q", "--allow-empty", "-m", "1", cwd=inner)
    repo.git("submodule", "add", "-q", str(inner), "sub")
    found = repo.snapshots().locate(str(repo.top / "sub"))
    assert (found.workspace, found.git_dir) == (
        str(repo.top / "sub"),
        str(repo.top / ".git" / "modules" / "sub"),
    )


def test_before_the_first_commit_there_is_a_branch_and_no_base(repo: Worktree) -> None:
    found = repo.snapshots().locate(str(repo.top))
    assert (found.base_commit, found.branch) == (None, "main")


def test_a_detached_head_is_on_no_branch(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.git("checkout", "-q", "--detach")
    assert repo.snapshots().locate(str(repo.top)).branch is None


def test_a_link_to_a_worktree_is_that_worktree(repo: Worktree) -> None:
    link = repo.top.parent / "link"
    link.symlink_to(repo.top)
    assert repo.snapshots().locate(str(link)).workspace == str(repo.top)


@pytest.mark.parametrize(
    "where", ["missing", "file", "plain", "bare", "repo/.git", "repo/.git/refs"]
)
def test_what_is_no_worktree_is_said_in_plain_words(repo: Worktree, where: str) -> None:
    root = repo.top.parent
    (root / "file").write_text("")
    (root / "plain").mkdir()
    repo.git("init", "-q", "--bare", str(root / "bare"))
    said = {
        "missing": "is not a folder that can be entered",
        "file": "is not a folder that can be entered",
        "plain": "is not in a git repository",
        "bare": "is a bare repository",
        "repo/.git": "is inside a git directory",
        "repo/.git/refs": "is inside a git directory",
    }
    with pytest.raises(NotAWorktree) as caught:
        repo.snapshots().locate(str(root / where))
    assert said[where] in caught.value.message
    assert top_of(str(root / where)) is None


def test_a_path_with_a_line_break_is_refused(repo: Worktree) -> None:
    odd = repo.top.parent / "two\nlines"
    odd.mkdir()
    repo.git("init", "-q", str(odd))
    with pytest.raises(NotAWorktree):
        repo.snapshots().locate(str(odd))


_LOCATE = """
import sys
from mcp_cloud_agents.snapshots.worktree import top_of
print(top_of(sys.argv[1]))
"""


def test_git_variables_of_the_environment_decide_nothing(repo: Worktree) -> None:
    repo.git("init", "-q", str(repo.home / "other"))
    hostile = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(repo.home),
        "GIT_DIR": str(repo.home / "other" / ".git"),
        "GIT_WORK_TREE": str(repo.home),
        "GIT_INDEX_FILE": "/nonexistent",
    }
    said = subprocess.run(
        [sys.executable, "-c", _LOCATE, str(repo.top)], env=hostile, capture_output=True, check=True
    )
    assert said.stdout.decode().strip() == str(repo.top)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_a_worktree_of_another_user_is_read(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    for path in (repo.top, repo.top / ".git"):
        os.chown(path, 12_345, 12_345)
    assert repo.texts(repo.take()) == {"a": "1"}
