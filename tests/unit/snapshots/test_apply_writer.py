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

from mcp_cloud_agents.domain.errors import NoSpace, NothingToUndo, PatchConflict
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.snapshots.old_caches import remove_old_caches
from tests.job_patches import JOB, Checkout, git

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
