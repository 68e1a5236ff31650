"""What can go wrong between the check and the last rename: everything is as it was before."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import (
    BranchUnusable,
    NoSpace,
    NothingToUndo,
    PatchConflict,
    PatchTooLarge,
)
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.snapshots.apply import steps
from mcp_cloud_agents.snapshots.old_caches import remove_old_caches
from tests.job_patches import JOB, Checkout, git, link

Syncs = Callable[[Callable[[], None]], None]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    made.commit({"a": "a\n", "b": "b\n", "c": "c\n"})
    return made


@pytest.fixture
def when_staged(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    """Does something at the moment when the first new file lies beside its place."""
    fsync = os.fsync

    def arrange(happen: Callable[[], None]) -> None:
        happened: list[bool] = []

        def sync(fd: int) -> None:
            if not happened and any(n.startswith(".mca-") for n in os.listdir(checkout.top)):
                happened.append(True)
                happen()
            fsync(fd)

        monkeypatch.setattr(os, "fsync", sync)

    return arrange


def test_a_file_that_is_edited_after_the_check_ends_the_apply(
    checkout: Checkout, when_staged: Syncs
) -> None:
    change = checkout.job({"a": "job\n", "b": None, "c": "job\n", "new/d": "job\n"})
    when_staged(lambda: checkout.write({"c": "mine\n"}))
    with pytest.raises(PatchConflict) as caught:
        checkout.apply(change)
    assert caught.value.paths == (("c", "changed while the patch was applied"),)
    assert checkout.content() == {"a": b"a\n", "b": b"b\n", "c": b"mine\n"}
    with pytest.raises(NothingToUndo):
        checkout.patches.undo(JOB, checkout.origin)


def test_a_file_that_appears_after_the_check_is_not_replaced(
    checkout: Checkout, when_staged: Syncs
) -> None:
    change = checkout.job({"a": "job\n", "new": "job\n"})
    when_staged(lambda: checkout.write({"new": "mine\n"}))
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert checkout.content() == {"a": b"a\n", "b": b"b\n", "c": b"c\n", "new": b"mine\n"}


def test_a_file_that_goes_after_the_check_stays_gone(
    checkout: Checkout, when_staged: Syncs
) -> None:
    change = checkout.job({"a": "job\n", "c": "job\n"})
    when_staged((checkout.top / "c").unlink)
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert checkout.content() == {"a": b"a\n", "b": b"b\n"}


def test_a_full_disk_leaves_everything_as_it_was(checkout: Checkout, when_staged: Syncs) -> None:
    change = checkout.job({"a": "job\n", "b": None, "new/d": "job\n"})
    before = checkout.content()

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    when_staged(full)
    with pytest.raises(NoSpace):
        checkout.apply(change)
    assert checkout.content() == before


def test_two_applies_at_once_are_one_after_the_other(checkout: Checkout) -> None:
    changes = [checkout.job({name: "job\n"}) for name in ("a", "b", "c")]
    threads = [threading.Thread(target=checkout.apply, args=(change,)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert checkout.content() == {"a": b"job\n", "b": b"job\n", "c": b"job\n"}


def test_a_branch_leaves_no_trace_of_its_commit_when_its_name_is_taken(checkout: Checkout) -> None:
    change = checkout.job({"a": "job\n"})
    before = checkout.git_dir()
    with pytest.raises(Exception, match="taken"):
        checkout.apply(change, "branch", branch="main")
    assert checkout.git_dir() == before
    git(checkout.top, "fsck", "--strict")


def test_what_was_applied_is_forgotten_with_the_worktrees_cache(
    checkout: Checkout, a_spec: Callable[..., JobSpec]
) -> None:
    snapshot = checkout.take()
    checkout.apply(checkout.job({"a": "job\n"}))
    caches = checkout.folder / "state" / "snapshots"
    assert list(caches.glob("*.apply/done/*.json"))
    shutil.rmtree(checkout.top)
    spec = a_spec(snapshot=snapshot)
    remove_old_caches(str(caches), [spec], keep_days=30, now=time.time())
    assert os.listdir(caches) == []


def test_a_file_that_appears_is_named_by_its_path(checkout: Checkout, when_staged: Syncs) -> None:
    change = checkout.job({"b": "job\n", "new": "job\n"})
    when_staged(lambda: checkout.write({"new": "mine\n"}))
    with pytest.raises(PatchConflict) as caught:
        checkout.apply(change)
    assert caught.value.paths == (("new", "changed while the patch was applied"),)
    assert ".mca-" not in caught.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for somebody else")
@pytest.mark.parametrize("mode", ["worktree", "branch"])
def test_what_root_makes_in_somebodys_repository_belongs_to_him(
    checkout: Checkout, mode: str
) -> None:
    change = checkout.job({"a": "job\n", "new/deep/d": "job\n", "new/link": link("deep/d")})
    everything = [checkout.top, *checkout.top.rglob("*")]
    for path in everything:
        os.chown(path, 12_345, 12_346, follow_symlinks=False)
    for path in (checkout.folder, *checkout.folder.parents):
        path.chmod(path.stat().st_mode | 0o011)
    checkout.apply(change, mode)
    found = [path.lstat() for path in (checkout.top, *checkout.top.rglob("*"))]
    assert len(found) > len(everything)
    assert {(one.st_uid, one.st_gid) for one in found} == {(12_345, 12_346)}


def test_a_patch_that_brings_too_much_is_told_by_its_own_code(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = checkout.job({"a": "job\n", "b": "job\n"})
    before = checkout.content()
    for limit in ("MAX_FILES", "MAX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(steps, limit, 1)
            with pytest.raises(PatchTooLarge):
                checkout.apply(change)
    assert checkout.content() == before


def test_a_cache_in_which_an_apply_was_cut_off_is_never_too_old(
    checkout: Checkout, a_spec: Callable[..., JobSpec]
) -> None:
    spec, caches = a_spec(snapshot=checkout.take()), checkout.folder / "state" / "snapshots"
    checkout.apply(checkout.job({"a": "job\n"}))
    (folder,) = caches.glob("*.apply")
    next(folder.glob("done/*.json")).rename(folder / "active.json")
    remove_old_caches(str(caches), [spec], keep_days=0, now=time.time() + 86_400)
    assert checkout.take().tree == spec.snapshot.tree
    remove_old_caches(str(caches), [spec], keep_days=0, now=time.time() + 86_400)
    assert os.listdir(caches) == []


def test_what_no_snapshot_holds_is_applied_once_and_taken_out_again(checkout: Checkout) -> None:
    before = checkout.content()
    change = checkout.job({"a": "job\n", ".env": "SECRET=1\n", "log/x.log": "job\n"})
    checkout.write({".gitignore": "*.log\n"})
    assert checkout.apply(change).done
    with_it = checkout.content()
    told = checkout.apply(change)
    assert (told.done, told.paths, told.conflicts) == (False, (), ())
    undone = checkout.patches.undo(JOB, checkout.origin)
    assert {path.path for path in undone.paths} == {"a", ".env", "log/x.log"}
    assert checkout.content() == {**before, ".gitignore": b"*.log\n"}
    checkout.apply(change)
    assert checkout.content() == with_it


def test_what_no_snapshot_holds_and_was_edited_since_ends_the_undo(checkout: Checkout) -> None:
    checkout.apply(checkout.job({"a": "job\n", ".env": "SECRET=1\n"}))
    checkout.write({".env": "mine\n"})
    found = checkout.content()
    with pytest.raises(PatchConflict) as caught:
        checkout.patches.undo(JOB, checkout.origin)
    assert caught.value.paths == ((".env", "changed in the same place"),)
    assert checkout.content() == found


@pytest.mark.parametrize("name", ["@{-1}", "refs/heads/x", "x" * 300, "HEAD", "-x", "a b", "a\nb"])
def test_a_name_that_is_none_for_a_branch_is_told(checkout: Checkout, name: str) -> None:
    git(checkout.top, "checkout", "-qb", "before")
    git(checkout.top, "checkout", "-q", "main")
    change = checkout.job({"a": "job\n"})
    with pytest.raises(BranchUnusable, match="no name for a branch"):
        checkout.apply(change, "branch", branch=name)
