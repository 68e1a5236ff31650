"""Snapshots after killed processes, damage and clean-ups of git."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Worktree


def test_a_stale_lock_of_a_killed_process_is_removed(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.take()
    (cache,) = (path for path in (repo.state / "snapshots").iterdir() if path.is_dir())
    (cache / "index.lock").write_bytes(b"half an index")
    repo.write({"a": "2"})
    assert repo.texts(repo.take()) == {"a": "2"}


def test_a_damaged_cache_is_made_anew(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.write({"b": "untracked"})
    before = repo.take()
    (cache,) = (path for path in (repo.state / "snapshots").iterdir() if path.is_dir())
    for damage in (b"", b"no index"):
        (cache / "index").write_bytes(damage)
        assert repo.take().tree == before.tree


def test_the_users_gc_between_two_snapshots_loses_nothing(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.write({"b": "staged once"})
    repo.git("add", "b")
    repo.take()
    repo.git("rm", "-q", "--cached", "b")
    repo.git("gc", "-q", "--prune=now")
    repo.write({"c": "3"})
    assert repo.texts(repo.take()) == {"a": "1", "b": "staged once", "c": "3"}


def test_a_gc_before_anything_was_sent_loses_nothing(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.write({"b": "staged once"})
    repo.git("add", "b")
    repo.take()
    shutil.rmtree(repo.state / "repositories")
    repo.git("rm", "-q", "--cached", "b")
    repo.git("gc", "-q", "--prune=now")
    repo.write({"c": "3"})
    snapshot = repo.take()
    assert repo.texts(snapshot) == {"a": "1", "b": "staged once", "c": "3"}


def test_a_store_that_lost_its_packs_is_filled_again(repo: Worktree) -> None:
    repo.commit({"a": "1", "b": "1"})
    repo.write({"c": "untracked"})
    before = repo.take()
    for lost in repo.state.glob("repositories/*/objects/pack/pack-*"):
        lost.unlink()
    assert repo.take().tree == before.tree
    assert repo.texts(repo.take()) == {"a": "1", "b": "1", "c": "untracked"}


_TAKE = """
import sys
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
snapshots = GitSnapshots(sys.argv[1], ScreenRules(), home=sys.argv[3])
print(snapshots.take(snapshots.locate(sys.argv[2])).tree)
"""


def test_two_processes_at_once_agree(repo: Worktree) -> None:
    repo.commit({f"dir{n}/file": str(n) for n in range(50)})
    repo.write({"new": "1"})
    command = [sys.executable, "-c", _TAKE, str(repo.state), str(repo.top), str(repo.home)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    trees = {process.communicate(timeout=60)[0].strip() for process in running}
    assert trees == {repo.take().tree.encode()}
