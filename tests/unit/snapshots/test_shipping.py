"""Snapshots from our object store to a shared one, and out of it on another machine."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import StoreUnavailable
from mcp_cloud_agents.snapshots.shipping import Shipper
from mcp_cloud_agents.snapshots.store import Stores
from mcp_cloud_agents.storage.folder_store import FolderStore
from tests.stores import at, new_place, s3_server

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.ports.store import Data, Store

    from .conftest import Worktree
from tests.unit.snapshots.shipped import Cloud, edited, source


def test_what_a_worker_gets_is_the_tree(cloud: Cloud) -> None:
    snapshot = cloud.repo.take()
    sent = cloud.ship(snapshot)
    assert cloud.fetch(snapshot) == snapshot.tree
    (pack,) = cloud.manifest(snapshot)["packs"]
    stored = cloud.store.get(cloud.packs(snapshot)[0]) or b""
    assert pack == {
        "sha256": hashlib.sha256(stored).hexdigest(),
        "size_bytes": sent,
        "commit": snapshot.commit,
        "compression": "zstd",
        "unpacked_bytes": pack["unpacked_bytes"],
    }
    assert len(stored) == sent < pack["unpacked_bytes"]


def test_what_is_there_is_not_sent_again(cloud: Cloud) -> None:
    snapshot = cloud.repo.take()
    assert cloud.ship(snapshot) > 0
    before = cloud.store.list("")
    assert cloud.ship(snapshot) == 0
    assert cloud.store.list("") == before


def test_a_line_edited_in_thousands_of_files_sends_less_than_a_kilobyte(cloud: Cloud) -> None:
    files = {
        f"pkg{n % 40}/mod{n % 7}/file{n}.py": f"def f{n}():\n    return {n}\n" for n in range(2_200)
    }
    cloud.repo.commit({**files, "pkg1/long.py": source(3_000)})
    cloud.ship(cloud.repo.take())
    before = sum(one.size_bytes for one in cloud.store.list("") if one.key.endswith(".pack"))
    text = (cloud.repo.top / "pkg1/long.py").read_text().splitlines(keepends=True)
    text[1_500] = "    # edited\n"
    snapshot = edited(cloud, "".join(text), "pkg1/long.py")
    sent = cloud.ship(snapshot)
    after = sum(one.size_bytes for one in cloud.store.list("") if one.key.endswith(".pack"))
    assert 0 < sent < 1_000
    assert after - before == sent
    assert cloud.fetch(snapshot) == snapshot.tree


def test_a_worker_that_has_the_base_fetches_only_what_is_new(cloud: Cloud) -> None:
    first, second = cloud.repo.take(), edited(cloud, "new\n")
    for snapshot in (first, second):
        cloud.ship(snapshot)
        cloud.fetch(first)
    cloud.store.delete(cloud.packs(first))
    assert cloud.fetch(second) == second.tree
    assert cloud.fetch(second) == second.tree


def test_a_chain_is_bounded_and_every_snapshot_of_it_can_be_fetched(cloud: Cloud) -> None:
    snapshots = [cloud.repo.take()]
    full = cloud.ship(snapshots[0])
    sent: list[int] = []
    for number in range(45):
        snapshots.append(edited(cloud, f"n{number}\n"))
        sent.append(cloud.ship(snapshots[-1]))
    chains = [len(cloud.manifest(snapshot)["packs"]) for snapshot in snapshots]
    assert max(chains) == 20
    assert chains[19:22] == [20, 2, 3]  # at the bound the changes since the base go as one pack
    assert max(sent) < full / 2
    for number in (0, 19, 20, 45):
        assert cloud.fetch(snapshots[number], f"{number}.git") == snapshots[number].tree


def test_when_nearly_all_is_new_a_full_pack_is_sent(cloud: Cloud) -> None:
    cloud.repo.write({"large": source(20_000)})
    cloud.ship(cloud.repo.take())
    snapshot = edited(cloud, source(20_000), "large")
    cloud.ship(snapshot)
    (pack,) = cloud.manifest(snapshot)["packs"]
    assert pack["compression"] == "zstd"
    assert cloud.fetch(snapshot) == snapshot.tree


def test_clones_share_the_packs_of_their_repository(cloud: Cloud, tmp_path: Path) -> None:
    first = cloud.repo.take()
    cloud.ship(first)
    clone = tmp_path / "other" / "repo"
    cloud.repo.git("clone", "-q", str(cloud.repo.top), str(clone))
    other = cloud.repo.take(top=clone)
    assert (other.repository != first.repository, other.commit) == (True, first.commit)
    assert cloud.key(other) == cloud.key(first)
    assert cloud.ship(other) == 0
    (clone / "deep" / "b").write_text("of the clone\n")
    mine = cloud.repo.take(top=clone)
    assert 0 < cloud.ship(mine) < 1_000
    assert cloud.fetch(mine) == mine.tree


def test_the_key_is_of_the_smallest_root_commit(cloud: Cloud) -> None:
    snapshot = cloud.repo.take()
    cloud.repo.git("checkout", "-q", "--orphan", "second")
    cloud.repo.commit({"a": "other\n"})
    cloud.repo.git("merge", "-q", "--allow-unrelated-histories", "-s", "ours", "main")
    roots = cloud.repo.git("rev-list", "--max-parents=0", "HEAD").split()
    assert len(roots) == 2
    merged = cloud.repo.take()
    wanted = hashlib.sha256(f"sha1\0{min(roots)}".encode()).hexdigest()[:32]
    assert cloud.key(merged) == wanted
    assert cloud.key(snapshot) == wanted  # one name for one local store, once it is known


def test_without_a_commit_the_local_name_is_the_key(repo: Worktree, tmp_path: Path) -> None:
    repo.write({"a": "1\n"})
    cloud = Cloud(repo, tmp_path, FolderStore(str(tmp_path / "shared")))
    snapshot = repo.take()
    assert cloud.key(snapshot) == snapshot.repository
    cloud.ship(snapshot)
    assert cloud.fetch(snapshot) == snapshot.tree


def test_the_empty_tree_travels(repo: Worktree, tmp_path: Path) -> None:
    cloud = Cloud(repo, tmp_path, FolderStore(str(tmp_path / "shared")))
    snapshot = repo.take()
    assert cloud.ship(snapshot) > 0
    assert cloud.fetch(snapshot) == snapshot.tree


def test_a_repository_of_sha256_travels(tmp_path: Path, new_worktree: type[Worktree]) -> None:
    (tmp_path / "in").mkdir()
    repo = new_worktree(tmp_path / "in")
    shutil.rmtree(repo.top / ".git")
    repo.git("init", "-q", "--object-format=sha256")
    repo.commit({"a": source(50)})
    cloud = Cloud(repo, tmp_path, FolderStore(str(tmp_path / "shared")))
    for snapshot in (repo.take(), edited(cloud, "2\n")):
        cloud.ship(snapshot)
        assert cloud.fetch(snapshot) == snapshot.tree
    assert len(cloud.manifest(snapshot)["packs"]) == 2


def test_odd_content_that_git_would_not_like_in_submodules_travels(cloud: Cloud) -> None:
    odd = '[submodule "../evil"]\n\tpath = -x\n\turl = -u./payload\n\tupdate = !sh\n'
    snapshot = edited(cloud, odd, ".gitmodules")
    cloud.ship(snapshot)
    assert cloud.fetch(snapshot) == snapshot.tree


def test_shipping_leaves_the_local_store_as_it_was(cloud: Cloud) -> None:
    first = cloud.repo.take()
    store = cloud.repo.state / "repositories" / f"{first.repository}.git"
    cloud.ship(first)
    second = edited(cloud, "2\n")
    before = cloud.repo.fingerprint(store / "objects") | cloud.repo.fingerprint(store / "refs")
    cloud.ship(second)
    after = cloud.repo.fingerprint(store / "objects") | cloud.repo.fingerprint(store / "refs")
    assert after == before


class Broken:
    """A store that fails at its n-th write, before or after it was done."""

    def __init__(self, store: Store, at_write: int, *, done: bool) -> None:
        self._store, self._left, self._done = store, at_write, done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_new(self, key: str, data: Data) -> bool:
        return self._fail(lambda: self._store.put_new(key, data))

    def _fail(self, write: Callable[[], bool]) -> bool:
        self._left -= 1
        if self._left == 0:
            if self._done:
                write()
            raise StoreUnavailable("the line is down", hint="")
        return write()


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at_write", [1, 2])
def test_a_shipper_that_was_interrupted_is_followed_by_one_that_completes(
    cloud: Cloud, at_write: int, done: bool
) -> None:
    base = cloud.repo.take()
    cloud.ship(base)
    snapshot = edited(cloud, "2\n")
    broken: Any = Broken(cloud.store, at_write, done=done)
    with pytest.raises(StoreUnavailable):
        cloud.shipper(broken).ship(snapshot)
    sent = cloud.ship(snapshot)
    assert (sent > 0) is (at_write == 1 and not done)  # what is there is not sent twice
    assert cloud.fetch(snapshot) == snapshot.tree


def test_many_shippers_at_once_send_each_snapshot_once(cloud: Cloud) -> None:
    snapshots = [cloud.repo.take()]
    snapshots += [edited(cloud, f"n{number}\n") for number in range(3)]
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(cloud.ship, snapshots * 3))
    assert sum(size > 0 for size in sent) == len(snapshots)
    for snapshot in snapshots:
        assert cloud.fetch(snapshot, f"{snapshot.commit}.git") == snapshot.tree
    packs = [one for one in cloud.store.list("") if one.key.endswith(".pack")]
    assert len(packs) == len(snapshots)


def test_two_machines_that_ship_the_same_at_once_agree(cloud: Cloud, tmp_path: Path) -> None:
    base, snapshot = cloud.repo.take(), edited(cloud, "2\n")
    other = replace(
        cloud.repo.snapshots(state="other").take(snapshot.origin), sent_bytes=snapshot.sent_bytes
    )
    cloud.ship(base)
    stores = Stores(str(tmp_path / "other" / "repositories"), shared=False)
    overtaken: Any = Overtaken(cloud.store, lambda: Shipper(stores, cloud.store).ship(other))
    assert cloud.shipper(overtaken).ship(snapshot) > 0
    (only,) = cloud.manifest(snapshot)["packs"]  # of the other one, who knew no base
    assert only["compression"] == "zstd"
    assert cloud.fetch(snapshot) == snapshot.tree
    third = edited(cloud, "3\n")
    assert 0 < cloud.ship(third) < 1_000
    assert cloud.fetch(third) == third.tree


class Overtaken:
    """A store in which somebody else is quicker, once."""

    def __init__(self, store: Store, overtake: Callable[[], object]) -> None:
        self._store, self._overtake = store, [overtake]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_new(self, key: str, data: Data) -> bool:
        while self._overtake:
            self._overtake.pop()()
        return self._store.put_new(key, data)


def test_the_whole_way_works_over_s3(cloud: Cloud, tmp_path: Path) -> None:
    with s3_server() as endpoint:
        place = new_place("s3", tmp_path, lambda: endpoint)
        cloud.store = at("s3", place)
        for snapshot in (cloud.repo.take(), edited(cloud, "2\n"), edited(cloud, "3\n")):
            assert cloud.ship(snapshot) > 0
            assert cloud.ship(snapshot) == 0
            assert cloud.fetch(snapshot) == snapshot.tree
        assert len(cloud.manifest(snapshot)["packs"]) == 3


NAMES = st.sampled_from(["a", "b", "d/e", "d/f", "d/g/h", "ü x", "z\nl", "-n", "d-", "d.e"])


CONTENTS = st.one_of(
    st.text(max_size=60).map(str.encode), st.binary(max_size=200), st.just(b"line\n" * 500)
)


EDITS = st.lists(
    st.tuples(NAMES, st.none() | st.tuples(CONTENTS, st.sampled_from(["file", "exec", "link"]))),
    max_size=6,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(EDITS, min_size=1, max_size=5))
def test_any_tree_and_any_edits_arrive_as_they_are(
    new_worktree: type[Worktree], rounds: list[list[tuple[str, tuple[bytes, str] | None]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repo = new_worktree(Path(folder))
        cloud = Cloud(repo, Path(folder), FolderStore(f"{folder}/shared"))
        taken: list[Snapshot] = []
        for edits in rounds:
            for name, change in edits:
                apply(repo.top / name, change)
            taken.append(repo.take())
            cloud.ship(taken[-1])
            assert cloud.fetch(taken[-1]) == taken[-1].tree
        assert cloud.fetch(taken[-1], "cold.git") == taken[-1].tree


def apply(path: Path, change: tuple[bytes, str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if change is None:
        return
    content, kind = change
    if kind == "link":
        path.symlink_to((content.hex() or "x")[:100])
        return
    path.write_bytes(content)
    path.chmod(0o755 if kind == "exec" else 0o644)
