"""What git said once is believed as long as nothing that decides it changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.snapshots.head import Head, read_head
from mcp_cloud_agents.snapshots.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Worktree

LONG_AFTER = 2_000_000_000.0


def test_an_answer_holds_while_its_files_stay(tmp_path: Path) -> None:
    kept: Kept[str] = Kept()
    file, missing = tmp_path / "file", tmp_path / "missing"
    file.write_text("1")
    for change in (lambda: file.write_text("22"), lambda: missing.touch(), file.unlink):
        kept.put("q", "a", (str(file), str(missing), str(tmp_path)), asked_at=LONG_AFTER)
        assert kept.get("q") == "a"
        change()
        assert kept.get("q") is None


def test_a_file_that_changed_about_then_proves_nothing(tmp_path: Path) -> None:
    kept: Kept[str] = Kept()
    file = tmp_path / "file"
    file.write_text("1")
    changed_at = os.stat(file).st_ctime
    assert kept.put("q", "a", (str(file),), asked_at=changed_at + 0.05) == "a"
    assert kept.get("q") is None


def test_no_more_than_the_newest_answers_are_kept() -> None:
    kept: Kept[int] = Kept()
    for number in range(100):
        kept.put(str(number), number, (), asked_at=LONG_AFTER)
    assert (kept.get("0"), kept.get("99")) == (None, 99)


@pytest.mark.parametrize("packed", [False, True])
def test_head_is_read_as_git_reads_it(repo: Worktree, *, packed: bool) -> None:
    repo.commit({"a": "1"})
    commit = repo.git("rev-parse", "HEAD").strip()
    repo.git("checkout", "-q", "-b", "a/ü branch".replace(" ", "-"))
    if packed:
        repo.git("pack-refs", "--all")
    where = str(repo.top / ".git")
    assert read_head(where, where) == Head(commit, "a/ü-branch")
    repo.git("checkout", "-q", "--detach")
    assert read_head(where, where) == Head(commit, None)


def test_git_is_asked_where_head_is_no_plain_file(repo: Worktree) -> None:
    where = repo.top / ".git"
    assert read_head(str(where), str(where)) is None  # no commit yet
    for text in ("ref: refs/heads/.invalid", "ref: refs/heads/../../../secret", "ref: refs/x", ""):
        (where / "HEAD").write_text(text + "\n")
        assert read_head(str(where), str(where)) is None
    (where / "HEAD").unlink()
    (where / "HEAD").symlink_to("refs/heads/main")
    assert read_head(str(where), str(where)) is None


def test_one_reader_sees_every_change_of_the_repository(repo: Worktree) -> None:
    repo.commit({"a": "1", "sub/b": "2", "x.log": "3"})
    snapshots = repo.snapshots()

    def texts() -> dict[str, str]:
        return repo.texts(snapshots.take(snapshots.locate(str(repo.top / "sub"))))

    for _ in range(3):
        assert set(texts()) == {"a", "sub/b", "x.log"}
    repo.git("rm", "-q", "--cached", "x.log")
    (repo.top / ".git/info/exclude").write_text("*.log\n")
    assert set(texts()) == {"a", "sub/b"}
    (repo.top / ".git/info/exclude").write_text("")
    (repo.home / ".gitconfig").write_text(f"[core]\n\texcludesFile = {repo.home}/mine\n")
    (repo.home / "mine").write_text("x.*\n")
    assert set(texts()) == {"a", "sub/b"}
    (repo.home / "mine").write_text("")
    assert set(texts()) == {"a", "sub/b", "x.log"}
    repo.commit({})
    origin = snapshots.locate(str(repo.top))
    assert origin.base_commit == repo.git("rev-parse", "HEAD").strip()
    repo.git("checkout", "-q", "-b", "other")
    assert snapshots.locate(str(repo.top)).branch == "other"
    repo.git("init", "-q", cwd=repo.top / "sub")
    assert snapshots.locate(str(repo.top / "sub")).workspace == str(repo.top / "sub")
