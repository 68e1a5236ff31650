"""What every implementation of the port `Snapshots` keeps."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.errors import BackendFailed, NotAWorktree, RefusedFiles
from mcp_cloud_agents.domain.job import Origin, Snapshot
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_cloud_agents.ports.snapshots import Snapshots


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return GitSnapshots(str(tmp_path / "state"), ScreenRules(), home=str(tmp_path))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a").write_text("1\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "b").write_text("2\n")
    (folder / "link").symlink_to("a")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def git(folder: Path, *args: str) -> str:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder.parent)}
    who = ("-c", "user.name=a", "-c", "user.email=a@invalid")
    done = subprocess.run(
        ["git", *who, *args], cwd=folder, env=env, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_a_snapshot_of_a_clean_tree_is_the_tree_of_head(snapshots: Snapshots, top: Path) -> None:
    snapshot = snapshots.take(snapshots.locate(str(top)))
    assert snapshot == Snapshot(
        repository=snapshot.repository,
        object_format="sha1",
        commit=snapshot.commit,
        tree=git(top, "rev-parse", "HEAD^{tree}"),
        files=3,
        sent_bytes=snapshot.sent_bytes,
        origin=Origin(
            workspace=str(top),
            git_dir=str(top / ".git"),
            common_dir=str(top / ".git"),
            base_commit=git(top, "rev-parse", "HEAD"),
            branch="main",
            dirty=False,
        ),
    )
    assert snapshot.sent_bytes > 0


def test_nothing_changed_sends_nothing(snapshots: Snapshots, top: Path) -> None:
    first = snapshots.take(snapshots.locate(str(top)))
    second = snapshots.take(snapshots.locate(str(top / "deep")))
    deep = replace(first.origin, folder="deep")
    assert second == replace(first, sent_bytes=0, origin=deep)


def test_a_one_line_edit_sends_less_than_a_kilobyte(snapshots: Snapshots, top: Path) -> None:
    for number in range(200):
        (top / "deep" / f"file{number}").write_text(f"{number}\n" * 200)
    lines = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(2_000)]
    (top / "long").write_text("\n".join(lines))
    snapshots.take(snapshots.locate(str(top)))
    (top / "long").write_text("\n".join([*lines[:900], "edited", *lines[901:]]))
    snapshot = snapshots.take(snapshots.locate(str(top)))
    assert 0 < snapshot.sent_bytes < 1_000
    edited = snapshots.read(snapshot, ["long"], limit_bytes=1 << 20)
    assert edited == {"long": (top / "long").read_bytes()}


def test_going_back_and_forth_gives_the_same_commits(snapshots: Snapshots, top: Path) -> None:
    origin = snapshots.locate(str(top))
    first = snapshots.take(origin)
    (top / "a").write_text("other\n")
    second = snapshots.take(origin)
    (top / "a").write_text("1\n")
    third = snapshots.take(origin)
    assert (third.commit, third.sent_bytes) == (first.commit, 0)
    assert second.commit != first.commit


def test_files_of_a_snapshot_are_read_without_the_worktree(snapshots: Snapshots, top: Path) -> None:
    snapshot = snapshots.take(snapshots.locate(str(top)))
    shutil.rmtree(top)
    wanted = ["a", "deep/b", "deep", "link", "missing", "../a", ":(glob)*"]
    assert snapshots.read(snapshot, wanted, limit_bytes=2) == {"a": b"1\n", "deep/b": b"2\n"}
    assert snapshots.read(snapshot, wanted, limit_bytes=1) == {}
    assert snapshots.read(snapshot, [], limit_bytes=1) == {}


def test_names_are_those_of_the_snapshot(snapshots: Snapshots, top: Path) -> None:
    (top / "new\nline ü").write_text("")
    (top / "a").unlink()
    snapshot = snapshots.take(snapshots.locate(str(top)))
    assert snapshots.names(snapshot) == {"deep/b", "link", "new\nline ü"}


def test_names_that_are_not_text_are_left_out(snapshots: Snapshots, top: Path) -> None:
    (top / "bad\udcff").write_text("")
    snapshot = snapshots.take(snapshots.locate(str(top)))
    assert (snapshot.files, snapshots.names(snapshot)) == (4, {"a", "deep/b", "link"})


def test_a_snapshot_outlives_the_users_repository(snapshots: Snapshots, top: Path) -> None:
    (top / "new").write_text("3\n")
    snapshot = snapshots.take(snapshots.locate(str(top)))
    shutil.rmtree(top)
    assert snapshots.read(snapshot, ["new"], limit_bytes=10) == {"new": b"3\n"}


def test_many_snapshots_are_packed_together_and_all_stay(
    snapshots: Snapshots, top: Path, tmp_path: Path
) -> None:
    origin = snapshots.locate(str(top))
    taken: list[Snapshot] = []
    for number in range(55):
        (top / "a").write_text(f"{number}\n")
        taken.append(snapshots.take(origin))
    assert len(list((tmp_path / "state" / "repositories").glob("*.git/objects/pack/*.pack"))) < 50
    found = [snapshots.read(each, ["a"], limit_bytes=10)["a"] for each in taken]
    assert found == [f"{number}\n".encode() for number in range(55)]


def test_refused_files_leave_no_snapshot(snapshots: Snapshots, top: Path) -> None:
    (top / ".env").write_text("TOKEN=1")
    with pytest.raises(RefusedFiles):
        snapshots.take(snapshots.locate(str(top)))


def test_no_worktree_is_refused(snapshots: Snapshots, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotAWorktree):
            snapshots.locate(str(path))


def test_a_snapshot_that_was_cleaned_up_is_said_to_be_gone(snapshots: Snapshots, top: Path) -> None:
    snapshot = replace(snapshots.take(snapshots.locate(str(top))), repository="0" * 32)
    with pytest.raises(BackendFailed):
        snapshots.names(snapshot)
