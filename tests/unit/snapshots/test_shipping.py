"""Snapshots from our object store to a shared one, and out of it on another machine."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import BackendFailed, StoreUnavailable
from mcp_cloud_agents.snapshots.fetching import fetch
from mcp_cloud_agents.snapshots.shipping import Shipper
from mcp_cloud_agents.snapshots.store import Stores
from mcp_cloud_agents.storage.folder_store import FolderStore
from tests.stores import at, new_place, s3_server

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.ports.store import Data, Store

    from .conftest import Worktree

WORDS = random.Random(3)  # noqa: S311  no secret


class Cloud:
    """A shared store, shippers of several machines, and workers."""

    def __init__(self, repo: Worktree, folder: Path, store: Store) -> None:
        self.repo, self.folder, self.store = repo, folder, store

    def shipper(self, store: Store | None = None) -> Shipper:
        stores = Stores(str(self.repo.state / "repositories"), shared=False)
        return Shipper(stores, store or self.store)

    def ship(self, snapshot: Snapshot, *, afresh: bool = False) -> int:
        return self.shipper().ship(snapshot, afresh=afresh)

    def key(self, snapshot: Snapshot) -> str:
        return self.shipper().repository_key(snapshot)

    def fetch(self, snapshot: Snapshot, into: str = "worker.git") -> str:
        """The tree that a worker gets; its git dir is checked whole."""
        path = str(self.folder / into)
        fetch(self.store, self.key(snapshot), snapshot.commit, path)
        git(path, "fsck", "--full", "--connectivity-only")
        return git(path, "rev-parse", f"{snapshot.commit}^{{tree}}")

    def manifest(self, snapshot: Snapshot) -> dict[str, Any]:
        where = f"packs/{self.key(snapshot)}/{snapshot.commit}.json"
        return json.loads(self.store.get(where) or b"{}")

    def packs(self, snapshot: Snapshot) -> list[str]:
        """Keys of a snapshot's packs, in order."""
        named = [pack["sha256"] for pack in self.manifest(snapshot)["packs"]]
        return [f"packs/{self.key(snapshot)}/{name}.pack" for name in named]


def git(folder: str, *args: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *args], cwd=folder, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def source(lines: int) -> str:
    """Text that looks like a program and does not compress to nothing."""
    return "".join(f"    value_{WORDS.getrandbits(40):x} = call()\n" for _ in range(lines))


@pytest.fixture
def cloud(repo: Worktree, tmp_path: Path) -> Cloud:
    repo.commit({"a": source(400), "deep/b": "1\n", "deep/er/c": "3\n"})
    return Cloud(repo, tmp_path, FolderStore(str(tmp_path / "shared")))


def edited(cloud: Cloud, text: str, path: str = "deep/b") -> Snapshot:
    cloud.repo.write({path: text})
    return cloud.repo.take()


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


@pytest.mark.parametrize("number", [0, 1], ids=["full", "thin"])
def test_a_pack_that_is_gone_is_told_and_sent_again(cloud: Cloud, number: int) -> None:
    base, snapshot = cloud.repo.take(), edited(cloud, "2\n")
    for each in (base, snapshot):
        cloud.ship(each)
    gone = cloud.packs(snapshot)[number]
    cloud.store.delete([gone])
    with pytest.raises(BackendFailed) as caught:
        cloud.fetch(snapshot)
    assert gone in caught.value.message
    assert "Submit the job again" in caught.value.hint
    assert cloud.ship(snapshot) > 0
    assert cloud.fetch(snapshot) == snapshot.tree


def test_a_base_that_is_gone_is_not_built_on(cloud: Cloud) -> None:
    base = cloud.repo.take()
    cloud.ship(base)
    cloud.store.delete(cloud.packs(base))
    snapshot = edited(cloud, "2\n")
    cloud.ship(snapshot)
    assert len(cloud.manifest(snapshot)["packs"]) == 1
    assert cloud.fetch(snapshot) == snapshot.tree


@pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "other", "empty"])
@pytest.mark.parametrize("number", [0, 1], ids=["full", "thin"])
def test_a_damaged_pack_is_told_and_can_be_sent_afresh(
    cloud: Cloud, damage: str, number: int
) -> None:
    base, snapshot = cloud.repo.take(), edited(cloud, "2\n")
    for each in (base, snapshot):
        cloud.ship(each)
    key = cloud.packs(snapshot)[number]
    data = cloud.store.get(key) or b""
    damaged = {
        "cut": data[:-7],
        "longer": data + b"x",
        "flipped": data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "other": b"\0" * len(data),
        "empty": b"",
    }
    cloud.store.put(key, damaged[damage])
    if damage != "longer":  # no more is read than the manifest names
        with pytest.raises(BackendFailed) as caught:
            cloud.fetch(snapshot)
        assert key in caught.value.message
    assert cloud.ship(snapshot, afresh=True) > 0
    assert cloud.fetch(snapshot) == snapshot.tree


MANIFESTS: list[Callable[[dict[str, Any]], object]] = [
    lambda found: found.update(version=2),
    lambda found: found.update(object_format="sha256"),
    lambda found: found.update(packs=[]),
    lambda found: found.update(packs=found["packs"] * 2),
    lambda found: found.update(packs=found["packs"] * 40),
    lambda found: found["packs"][0].update(sha256="../../../etc/passwd"),
    lambda found: found["packs"][0].update(size_bytes=1 << 50),
    lambda found: found["packs"][0].update(size_bytes=-1),
    lambda found: found["packs"][0].update(unpacked_bytes=found["packs"][0]["unpacked_bytes"] - 1),
    lambda found: found["packs"][0].update(unpacked_bytes=found["packs"][0]["unpacked_bytes"] + 1),
    lambda found: found["packs"][0].update(compression="xz"),
    lambda found: found["packs"][0].update(compression=""),
    lambda found: found["packs"][-1].update(commit="0" * 40),
    lambda found: found["packs"].pop(),
    lambda found: found["packs"].reverse(),
]


@pytest.mark.parametrize("change", MANIFESTS, ids=range(len(MANIFESTS)))
def test_a_manifest_that_lies_is_refused(
    cloud: Cloud, change: Callable[[dict[str, Any]], object]
) -> None:
    base, snapshot = cloud.repo.take(), edited(cloud, "2\n")
    for each in (base, snapshot):
        cloud.ship(each)
    found = cloud.manifest(snapshot)
    change(found)
    where = f"packs/{cloud.key(snapshot)}/{snapshot.commit}.json"
    cloud.store.put(where, json.dumps(found).encode())
    with pytest.raises(BackendFailed) as caught:
        cloud.fetch(snapshot)
    assert "Submit the job again" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}"])
def test_a_manifest_that_is_none_is_refused_and_replaced(cloud: Cloud, content: bytes) -> None:
    snapshot = cloud.repo.take()
    cloud.ship(snapshot)
    cloud.store.put(f"packs/{cloud.key(snapshot)}/{snapshot.commit}.json", content)
    with pytest.raises(BackendFailed):
        cloud.fetch(snapshot)
    assert cloud.ship(snapshot) == 0  # its pack is there
    assert cloud.fetch(snapshot) == snapshot.tree


def test_a_snapshot_that_was_never_sent_is_told(cloud: Cloud) -> None:
    snapshot = cloud.repo.take()
    with pytest.raises(BackendFailed) as caught:
        cloud.fetch(snapshot)
    assert "is not there" in caught.value.message


@pytest.mark.parametrize(
    ("repository", "commit"),
    [("../" * 5, "0" * 40), ("0" * 32, "../x"), ("0" * 32, "0" * 39), ("", "0" * 40)],
)
def test_what_names_no_snapshot_is_refused(
    cloud: Cloud, repository: str, commit: str, tmp_path: Path
) -> None:
    with pytest.raises(BackendFailed):
        fetch(cloud.store, repository, commit, str(tmp_path / "worker.git"))
    assert not (tmp_path / "worker.git").exists()


def test_many_fetches_into_one_folder_all_succeed(cloud: Cloud) -> None:
    snapshots = [cloud.repo.take(), edited(cloud, "2\n"), edited(cloud, "3\n")]
    for snapshot in snapshots:
        cloud.ship(snapshot)
    with ThreadPoolExecutor(6) as pool:
        trees = list(pool.map(cloud.fetch, snapshots * 2))
    assert trees == [snapshot.tree for snapshot in snapshots] * 2


def test_what_a_killed_fetch_left_is_finished_and_removed(cloud: Cloud, tmp_path: Path) -> None:
    snapshot = cloud.repo.take()
    cloud.ship(snapshot)
    left = tmp_path / "worker.git" / "incoming-of-old"
    left.mkdir(parents=True)
    (left / "pack").write_bytes(b"half")
    assert cloud.fetch(snapshot) == snapshot.tree
    assert list((tmp_path / "worker.git").glob("incoming-*")) == []


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
