"""What every implementation of the port `Patches` keeps."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.applied import Applied, ApplyMode, ChangedPath, Kinship, Way
from mcp_cloud_agents.domain.errors import (
    BaseMissing,
    BranchUnusable,
    NothingToUndo,
    PatchConflict,
    PatchDamaged,
    ProtectedPaths,
    UnreadableTree,
)
from mcp_cloud_agents.snapshots.apply.far_bases import FarBases
from mcp_cloud_agents.snapshots.apply.git_patches import GitPatches
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.shipping import Shipper
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.storage.folder_store import FolderStore
from tests.job_patches import JOB, Checkout, File, git, link

TEXT = "".join(f"line {number}\n" for number in range(30))
FIRST = TEXT.replace("line 3\n", "line three\n")
LAST = TEXT.replace("line 25\n", "line twenty-five\n")
BOTH = FIRST.replace("line 25\n", "line twenty-five\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    made.commit({"a.txt": TEXT, "b.txt": "b\n", "dir/c.txt": "c\n"})
    return made


# Into the working tree


def test_a_check_tells_what_would_change_and_writes_nothing(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST, "new/n.txt": "n\n", "b.txt": None})
    before, git_dir = checkout.content(), checkout.git_dir()
    assert checkout.apply(change, "check") == Applied(
        job_id=JOB,
        mode=ApplyMode.CHECK,
        workspace=str(checkout.top),
        done=False,
        paths=(
            ChangedPath(path="a.txt", how="modified", insertions=1, deletions=1),
            ChangedPath(path="b.txt", how="deleted", deletions=1),
            ChangedPath(path="new/n.txt", how="added", insertions=1),
        ),
    )
    assert (checkout.content(), checkout.git_dir()) == (before, git_dir)


def test_a_patch_is_merged_with_edits_of_other_lines_of_the_same_file(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST, "new/n.txt": "n\n", "b.txt": None})
    checkout.write({"a.txt": LAST, "mine.txt": "mine\n"})
    git_dir = checkout.git_dir()
    applied = checkout.apply(change)
    assert (applied.done, applied.can_undo, len(applied.paths)) == (True, True, 3)
    assert checkout.content() == {
        "a.txt": BOTH.encode(),
        "dir/c.txt": b"c\n",
        "mine.txt": b"mine\n",
        "new/n.txt": b"n\n",
    }
    assert checkout.git_dir() == git_dir


def test_staged_and_unstaged_edits_stay_what_they_are(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    checkout.write({"b.txt": "staged\n"})
    git(checkout.top, "add", "b.txt")
    checkout.write({"b.txt": "staged, then edited\n"})
    checkout.apply(change)
    assert git(checkout.top, "status", "--short") == " M a.txt\nMM b.txt\n"


def test_applying_twice_changes_nothing_the_second_time(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST, "b.txt": None})
    checkout.apply(change)
    after = checkout.content()
    again = checkout.apply(change)
    assert (again.done, again.paths, again.can_undo) == (False, (), False)
    assert checkout.content() == after


def test_a_conflict_is_a_list_and_nothing_is_written(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST, "b.txt": "job\n", "new.txt": "job\n", "z": "z\n"})
    checkout.write({"b.txt": "mine\n", "new.txt": "mine\n"})
    before = checkout.content()
    wanted = (("b.txt", "changed in the same place"), ("new.txt", "changed in the same place"))
    assert checkout.apply(change, "check").conflicts == wanted
    with pytest.raises(PatchConflict) as caught:
        checkout.apply(change)
    assert caught.value.paths == wanted
    assert checkout.content() == before


def test_a_folder_of_the_user_where_the_job_has_a_file_is_a_conflict_by_its_name(
    checkout: Checkout,
) -> None:
    change = checkout.job({"b.txt": "job\n"})
    (checkout.top / "b.txt").unlink()
    checkout.write({"b.txt/mine": "mine\n"})
    told = checkout.apply(change, "check")
    assert told.conflicts == (("b.txt", "changed in the same place"),)


def test_an_ignored_file_of_the_user_is_never_replaced(checkout: Checkout) -> None:
    change = checkout.job({"out.log": "job\n"})
    checkout.write({".gitignore": "*.log\n", "out.log": "mine\n"})
    why = "out.log is there already, and is ignored by git or not sent"
    assert checkout.apply(change, "check").conflicts == (("out.log", why),)
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert checkout.content()["out.log"] == b"mine\n"


def test_a_secret_beside_the_patch_is_no_hindrance(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    checkout.write({".env": "TOKEN=1\n"})
    assert checkout.apply(change).done
    assert checkout.content()[".env"] == b"TOKEN=1\n"
    assert checkout.patches.undo(JOB, checkout.origin).done
    assert checkout.content() == {
        ".env": b"TOKEN=1\n",
        "a.txt": TEXT.encode(),
        "b.txt": b"b\n",
        "dir/c.txt": b"c\n",
    }


def test_a_file_that_was_renamed_meanwhile_gets_the_change_under_its_new_name(
    checkout: Checkout,
) -> None:
    change = checkout.job({"a.txt": FIRST})
    (checkout.top / "a.txt").rename(checkout.top / "renamed.txt")
    checkout.apply(change)
    assert checkout.content()["renamed.txt"] == FIRST.encode()
    assert "a.txt" not in checkout.content()


def test_bytes_modes_and_links_arrive_as_the_job_left_them(checkout: Checkout) -> None:
    binary = bytes(range(256)) * 40
    change = checkout.job(
        {
            "binary": File(binary),
            "crlf": "one\r\ntwo\r\n",
            "empty": "",
            "b.txt": File(b"b\n", "100755"),
            "dir/link": link("../a.txt"),
            "no newline": "x",
        }
    )
    (checkout.top / "b.txt").chmod(0o640)
    checkout.apply(change)
    found = checkout.content()
    assert found["binary"] == binary
    assert (found["crlf"], found["empty"], found["no newline"]) == (b"one\r\ntwo\r\n", b"", b"x")
    assert found["dir/link"] == "../a.txt"
    assert stat.S_IMODE((checkout.top / "b.txt").stat().st_mode) == 0o750


def test_a_file_becomes_a_folder_and_a_folder_a_file(checkout: Checkout) -> None:
    change = checkout.job(
        {"b.txt": None, "b.txt/inner": "1\n", "dir/c.txt": None, "dir": "a file\n"}
    )
    before = checkout.content()
    checkout.apply(change)
    assert checkout.content() == {
        "a.txt": TEXT.encode(),
        "b.txt/inner": b"1\n",
        "dir": b"a file\n",
    }
    checkout.patches.undo(JOB, checkout.origin)
    assert checkout.content() == before


def test_a_folder_that_holds_something_ignored_does_not_become_a_file(checkout: Checkout) -> None:
    checkout.commit({".gitignore": "*.log\n"})
    change = checkout.job({"dir/c.txt": None, "dir": "a file\n"})
    checkout.write({"dir/kept.log": "mine\n"})
    before = checkout.content()
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert checkout.content() == before


def test_a_folder_that_may_not_be_written_changes_nothing(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST, "dir/c.txt": "job\n"})
    before = checkout.content()
    (checkout.top / "dir").chmod(0o500)
    try:
        if _can_write(checkout.top / "dir"):
            pytest.skip("root may write everywhere")
        with pytest.raises(UnreadableTree):
            checkout.apply(change)
    finally:
        (checkout.top / "dir").chmod(0o700)
    assert checkout.content() == before


def _can_write(folder: Path) -> bool:
    try:
        (folder / "probe").write_text("")
    except PermissionError:
        return False
    (folder / "probe").unlink()
    return True


# Undo


def test_undo_brings_back_what_was_and_only_once(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST, "new/n.txt": "n\n", "b.txt": None})
    checkout.write({"a.txt": LAST, "mine.txt": "mine\n"})
    before, git_dir = checkout.content(), checkout.git_dir()
    checkout.apply(change)
    undone = checkout.patches.undo(JOB, checkout.origin)
    assert (undone.done, len(undone.paths)) == (True, 3)
    assert (checkout.content(), checkout.git_dir()) == (before, git_dir)
    with pytest.raises(NothingToUndo):
        checkout.patches.undo(JOB, checkout.origin)


def test_undo_keeps_later_edits_of_other_lines(checkout: Checkout) -> None:
    checkout.apply(checkout.job({"a.txt": FIRST, "b.txt": None}))
    checkout.write({"a.txt": BOTH, "later.txt": "later\n"})
    checkout.patches.undo(JOB, checkout.origin)
    assert checkout.content() == {
        "a.txt": LAST.encode(),
        "b.txt": b"b\n",
        "dir/c.txt": b"c\n",
        "later.txt": b"later\n",
    }


def test_undo_of_lines_that_were_edited_since_changes_nothing(checkout: Checkout) -> None:
    checkout.apply(checkout.job({"a.txt": FIRST, "b.txt": None}))
    checkout.write({"a.txt": FIRST.replace("three", "THREE")})
    before = checkout.content()
    with pytest.raises(PatchConflict) as caught:
        checkout.patches.undo(JOB, checkout.origin)
    assert [path for path, _ in caught.value.paths] == ["a.txt"]
    assert checkout.content() == before


def test_what_was_undone_can_be_applied_again(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    checkout.apply(change)
    checkout.patches.undo(JOB, checkout.origin)
    assert checkout.apply(change).done
    assert checkout.content()["a.txt"] == FIRST.encode()


def test_a_job_that_was_not_applied_has_nothing_to_undo(checkout: Checkout) -> None:
    with pytest.raises(NothingToUndo):
        checkout.patches.undo(JOB, checkout.origin)


# Onto a branch


def test_a_branch_gets_the_jobs_change_alone_and_the_tree_stays(checkout: Checkout) -> None:
    checkout.write({"a.txt": LAST, "untracked.txt": "u\n"})
    change = checkout.job({"a.txt": BOTH, "new.txt": "n\n"})
    before, index = checkout.content(), (checkout.top / ".git/index").read_bytes()
    head = git(checkout.top, "rev-parse", "HEAD")
    applied = checkout.apply(change, "branch", branch="fixes/one")
    assert (applied.branch, applied.done, applied.can_undo) == ("fixes/one", True, False)
    assert git(checkout.top, "show", "fixes/one:a.txt") == FIRST
    assert git(checkout.top, "diff", "--name-only", "HEAD", "fixes/one") == "a.txt\nnew.txt\n"
    assert (
        git(checkout.top, "rev-parse", "fixes/one^")
        == head
        == git(checkout.top, "rev-parse", "HEAD")
    )
    assert (checkout.content(), (checkout.top / ".git/index").read_bytes()) == (before, index)
    git(checkout.top, "fsck", "--strict")


def test_the_author_is_the_users_own_or_nobody(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    checkout.apply(change, "branch", branch="nobody")
    git(checkout.top, "config", "user.name", "Ada")
    git(checkout.top, "config", "user.email", "ada@example.org")
    checkout.apply(change, "branch", branch="ada")
    shown = git(checkout.top, "log", "--format=%an <%ae> %cn", "nobody", "ada", "--no-walk")
    assert set(shown.splitlines()) == {
        "mcp-cloud-agents <mcp-cloud-agents@invalid> mcp-cloud-agents",
        "Ada <ada@example.org> Ada",
    }


def test_the_same_branch_again_is_no_error_and_another_patch_is(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    first = checkout.apply(change, "branch")
    again = checkout.apply(change, "branch")
    assert first.branch == f"cloud-agents/{JOB}"
    assert (again.done, again.commit) == (False, first.commit)
    with pytest.raises(BranchUnusable):
        checkout.apply(checkout.job({"b.txt": "other\n"}), "branch")
    assert git(checkout.top, "rev-parse", first.branch or "").strip() == first.commit


@pytest.mark.parametrize("name", ["main/x", "-x", "a..b", "with space", "x.lock", "HEAD", "a\nb"])
def test_names_that_git_does_not_take_are_refused(checkout: Checkout, name: str) -> None:
    with pytest.raises(BranchUnusable):
        checkout.apply(checkout.job({"a.txt": FIRST}), "branch", branch=name)


def test_a_change_of_lines_that_were_not_committed_does_not_fit_a_branch(
    checkout: Checkout,
) -> None:
    checkout.write({"b.txt": "dirty\n"})
    change = checkout.job({"b.txt": "dirty, and more\n"})
    with pytest.raises(PatchConflict):
        checkout.apply(change, "branch")
    assert git(checkout.top, "branch", "--list").split() == ["*", "main"]


def test_a_repository_without_a_commit_has_no_branch_to_start_from(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.write({"a.txt": TEXT})
    change = checkout.job({"a.txt": FIRST})
    with pytest.raises(BranchUnusable):
        checkout.apply(change, "branch")
    assert checkout.apply(change).done


# Where it does not belong


def test_kinship_is_same_sibling_or_stranger(checkout: Checkout, tmp_path: Path) -> None:
    git(checkout.top, "worktree", "add", "-q", str(tmp_path / "second"))
    git(tmp_path, "clone", "-q", str(checkout.top), str(tmp_path / "clone"))
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    locate, kinship = checkout.snapshots.locate, checkout.patches.kinship
    assert kinship(checkout.origin, checkout.origin) is Kinship.SAME
    assert kinship(checkout.origin, locate(str(checkout.top / "dir"))) is Kinship.SAME
    assert kinship(checkout.origin, locate(str(tmp_path / "second"))) is Kinship.SIBLING
    assert kinship(checkout.origin, locate(str(tmp_path / "clone"))) is Kinship.SIBLING
    assert kinship(checkout.origin, locate(str(other))) is Kinship.STRANGER


def test_a_clone_can_get_the_patch_of_another_one(checkout: Checkout, tmp_path: Path) -> None:
    change = checkout.job({"a.txt": FIRST})
    git(tmp_path, "clone", "-q", str(checkout.top), str(tmp_path / "clone"))
    checkout.top = tmp_path / "clone"
    checkout.write({"a.txt": LAST})
    assert checkout.apply(change).done
    assert checkout.content()["a.txt"] == BOTH.encode()


def test_a_base_that_was_cleaned_up_is_told_and_nothing_changes(checkout: Checkout) -> None:
    checkout.write({"untracked.txt": "u\n"})
    change = checkout.job({"untracked.txt": "job\n"})
    checkout.write({"untracked.txt": "later\n"})
    for name in ("snapshots", "repositories"):
        shutil.rmtree(checkout.folder / "state" / name)
    with pytest.raises(BaseMissing):
        checkout.apply(change)
    assert checkout.content()["untracked.txt"] == b"later\n"


def test_a_base_that_is_a_commit_of_the_user_needs_no_store(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    for name in ("snapshots", "repositories"):
        shutil.rmtree(checkout.folder / "state" / name)
    assert checkout.apply(change).done


def test_the_base_of_another_machines_job_comes_from_the_store_both_share(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.write({"a.txt": LAST, "untracked.txt": "u\n"})
    change = checkout.job({"a.txt": BOTH})
    shared = FolderStore(str(tmp_path / "shared"))
    Shipper(checkout.snapshots.stores, shared).ship(change.snapshot)
    there = tmp_path / "there"
    there.mkdir()
    git(tmp_path, "clone", "-q", str(checkout.top), str(there / "clone"))
    for name in ("snapshots", "repositories"):  # of the other machine
        shutil.rmtree(checkout.folder / "state" / name)
    here = GitSnapshots(str(there / "state"), ScreenRules(), home=str(there))
    target = here.locate(str(there / "clone"))
    way = Way(mode=ApplyMode.WORKTREE)
    with pytest.raises(BaseMissing):
        GitPatches(here).apply(change, target, way)
    far = FarBases(here.stores, lambda: shared)
    assert GitPatches(here, far).apply(change, target, way).done
    assert (there / "clone" / "a.txt").read_text() == FIRST
    empty = FarBases(here.stores, lambda: FolderStore(str(tmp_path / "empty")))
    shutil.rmtree(there / "state")
    with pytest.raises(BaseMissing):
        GitPatches(here, empty).apply(change, target, way)


# What is not to be trusted


def test_bytes_that_are_not_those_of_the_result_are_refused(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": FIRST})
    with pytest.raises(PatchDamaged):
        checkout.apply(replace(change, data=change.data.replace(b"three", b"eerht")))


def test_paths_that_tools_obey_need_a_person(checkout: Checkout) -> None:
    change = checkout.job({".github/workflows/x.yml": "on: push\n", "a.txt": FIRST})
    before = checkout.content()
    told = checkout.apply(change, "check")
    assert [path for path, _ in told.protected] == [".github/workflows/x.yml"]
    for mode in ("worktree", "branch"):
        with pytest.raises(ProtectedPaths) as caught:
            checkout.apply(change, mode)
        assert "--allow-protected" in caught.value.hint
    assert checkout.content() == before
    assert checkout.apply(change, allow_protected=True).done
