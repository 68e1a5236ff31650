"""Fetching a shipped snapshot: packs that are gone, damaged or lie, and many fetches at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.snapshots.fetching import fetch
from tests.unit.snapshots.shipped import Cloud, edited


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
