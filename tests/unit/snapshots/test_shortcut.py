"""A snapshot that looks at less than all gives the tree that a first look gives."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import RefusedFiles
from mcp_cloud_agents.snapshots.screen import ScreenRules

if TYPE_CHECKING:
    from conftest import Worktree

    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

RULES = ScreenRules(max_file_mib=1)
START = {
    ".gitignore": "*.log\n",
    "a": "a\n",
    "dir/b": "b\n",
    "dir/kept.log": "tracked, though ignored\n",
    "c.sh": "c\n",
}
PATHS = [*START, "new", "dir/new.log", "sub/deep/new", "a/inside", ".gitattributes"]
TEXTS = ["", "a\n", "other\n", "*.log\n", "new\nsub/\n", "*.sh filter=secret\n", "large"]


class Steps:
    """What may happen to a worktree between two snapshots."""

    def __init__(self, repo: Worktree) -> None:
        self._repo = repo

    def write(self, path: str, text: str) -> None:
        target = self._cleared(path)
        target.write_text("x" * ((1 << 20) + 1) if text == "large" else text)

    def link(self, path: str, text: str) -> None:
        if not path.startswith(".git"):  # git refuses rules behind a link
            self._cleared(path).symlink_to(text.strip() or "nowhere")

    def remove(self, path: str, text: str) -> None:
        del text
        self._gone(self._repo.top / path)

    def touch(self, path: str, text: str) -> None:
        target = self._repo.top / path
        if target.is_file() and not target.is_symlink():
            target.chmod(0o755 if text else 0o644)
            target.touch()

    def stage(self, path: str, text: str) -> None:
        del path, text
        self._repo.git("add", "-A")

    def untrack(self, path: str, text: str) -> None:
        del text
        self._repo.git("rm", "-r", "-q", "-f", "--cached", "--", path, ok=False)

    def _cleared(self, path: str) -> Path:
        target = self._repo.top / path
        for folder in reversed(target.relative_to(self._repo.top).parents):
            above = self._repo.top / folder
            if above.is_symlink() or (above.exists() and not above.is_dir()):
                above.unlink()
        self._gone(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _gone(self, target: Path) -> None:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                target.unlink()


KINDS = ["write", "write", "write", "link", "remove", "touch", "stage", "untrack"]
STEPS = st.tuples(st.sampled_from(KINDS), st.sampled_from(PATHS), st.sampled_from(TEXTS))


def told(repo: Worktree, snapshots: GitSnapshots) -> tuple[object, ...]:
    """What a snapshot is, or why it was refused."""
    try:
        taken = snapshots.take(snapshots.locate(str(repo.top)))
    except RefusedFiles as exc:
        return exc.paths
    return taken.tree, taken.commit, taken.files, taken.warnings, taken.origin.dirty


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=2), min_size=2, max_size=4))
def test_a_warm_snapshot_is_a_cold_one_whatever_happened(
    new_worktree: type[Worktree], rounds: list[list[tuple[str, str, str]]]
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        repo = new_worktree(folder)
        repo.commit(START)
        warm = repo.snapshots(RULES)
        warm.take(warm.locate(str(repo.top)))
        steps = Steps(repo)
        for number, round_ in enumerate(rounds):
            for kind, path, text in round_:
                getattr(steps, kind)(path, text)
            cold = repo.snapshots(RULES, state=f"cold-{number}")
            assert told(repo, warm) == told(repo, cold)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("edited", [(), ("a",)], ids=["nothing else", "with an edit"])
def test_a_tracked_file_that_is_ignored_comes_back(repo: Worktree, edited: tuple[str, ...]) -> None:
    repo.commit(START)
    first = repo.take()
    (repo.top / "dir/kept.log").unlink()
    assert "dir/kept.log" not in repo.held(repo.take())
    repo.write({"dir/kept.log": START["dir/kept.log"], **dict.fromkeys(edited, "edited\n")})
    assert repo.held(repo.take()).keys() == repo.held(first).keys()


@pytest.mark.slow
def test_many_edits_one_after_another_send_little_each(repo: Worktree) -> None:
    names = [f"d{number % 7}/f{number}" for number in range(60)]
    repo.commit({name: f"{name}\n" * 200 for name in names})
    snapshots = repo.snapshots()
    snapshots.take(snapshots.locate(str(repo.top)))
    for name in names:
        repo.write({name: f"{name}\n" * 100 + "edited\n" + f"{name}\n" * 100})
        taken = snapshots.take(snapshots.locate(str(repo.top)))
        assert 0 < taken.sent_bytes < 1_024
        assert repo.texts(taken)[name].count("edited") == 1
    repo.git("fsck", "--strict", cwd=next((repo.state / "repositories").glob("*.git")))


def test_an_edit_that_is_taken_back_sends_nothing(repo: Worktree) -> None:
    repo.commit(START)
    first = repo.take()
    for _ in range(2):
        repo.write({"a": "edited\n"})
        assert repo.texts(repo.take())["a"] == "edited\n"
        repo.write({"a": START["a"]})
        again = repo.take()
        assert (again.commit, again.sent_bytes) == (first.commit, 0)


def test_an_edit_after_the_store_was_cleaned_up_is_sent_whole(repo: Worktree) -> None:
    repo.commit(START)
    repo.take()
    repo.write({"a": "edited\n"})
    repo.take()
    shutil.rmtree(repo.state / "repositories")
    assert repo.texts(repo.take())["a"] == "edited\n"
    repo.write({"a": "edited again\n"})
    assert repo.texts(repo.take())["dir/b"] == START["dir/b"]


def test_a_link_and_an_exec_bit_are_edits_too(repo: Worktree) -> None:
    repo.commit(START)
    (repo.top / "to").symlink_to("a")
    repo.git("add", "to")
    repo.take()
    (repo.top / "to").unlink()
    (repo.top / "to").symlink_to("c.sh")
    (repo.top / "c.sh").chmod(0o755)
    held = repo.held(repo.take())
    assert (held["to"], held["c.sh"]) == (("120000", b"c.sh"), ("100755", b"c\n"))
