"""What only the store in a folder can get wrong."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument, StoreDenied
from mcp_cloud_agents.storage.folder_store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(str(tmp_path / "store"))
    store.put_new("in/key", b"1")
    return store


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "key").write_bytes(b"secret")
    return folder


def test_nothing_is_made_before_something_is_written(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path / "store"))
    assert (store.get("key"), store.size("key")) == (None, None)
    assert (store.list(""), store.folders("")) == ((), ())
    store.delete(["key"])
    assert not (tmp_path / "store").exists()


def test_a_link_to_a_folder_is_not_followed(store: FolderStore, outside: Path) -> None:
    (Path(store.name) / "blobs" / "link").symlink_to(outside)
    assert (store.get("link/key"), store.size("link/key")) == (None, None)
    assert [one.key for one in store.list("")] == ["in/key"]
    assert (store.list("link/"), store.folders("")) == ((), ("in",))
    store.delete(["link/key"])
    for write in (store.put_new, store.put):
        with pytest.raises(InvalidArgument):
            write("link/new", b"2")
    assert {path.name for path in outside.iterdir()} == {"key"}


def test_a_link_to_a_file_is_not_followed(
    store: FolderStore, outside: Path, tmp_path: Path
) -> None:
    (Path(store.name) / "blobs" / "link").symlink_to(outside / "key")
    for read in (store.get, store.size, partial(store.download, path=str(tmp_path / "copy"))):
        with pytest.raises(InvalidArgument):
            read("link")
    assert not store.put_new("link", b"2")
    assert [one.key for one in store.list("")] == ["in/key"]
    store.put("link", b"3")  # takes the link's place
    assert (store.get("link"), (outside / "key").read_bytes()) == (b"3", b"secret")


def test_a_pipe_in_the_folder_makes_nobody_wait(store: FolderStore) -> None:
    os.mkfifo(Path(store.name) / "blobs" / "pipe")
    with pytest.raises(StoreDenied):
        store.get("pipe")
    assert [one.key for one in store.list("")] == ["in/key"]


def test_a_key_that_is_a_folder_of_others_is_refused(store: FolderStore) -> None:
    for write in (store.put_new, store.put):
        with pytest.raises(InvalidArgument):
            write("in", b"2")
        with pytest.raises(InvalidArgument):
            write("in/key/deeper", b"2")
    assert store.get("in/key") == b"1"


def test_what_dead_writers_left_is_removed_after_a_day(store: FolderStore) -> None:
    folder = Path(store.name) / "partial"
    for name, age_s in (("old", 2 * 86_400), ("young", 60)):
        (folder / name).write_bytes(b"half")
        written_at = time.time() - age_s
        os.utime(folder / name, (written_at, written_at))
    FolderStore(store.name).put("key", b"x")
    assert {path.name for path in folder.iterdir()} == {"young"}


def test_a_write_leaves_nothing_but_the_blob(store: FolderStore) -> None:
    assert not store.put_new("in/key", b"2")
    store.put("in/key", b"3")
    found = [path for path in Path(store.name).rglob("*") if path.is_file()]
    assert [(path.name, path.read_bytes(), path.stat().st_nlink) for path in found] == [
        ("key", b"3", 1)
    ]


def test_folders_that_hold_nothing_are_removed(store: FolderStore) -> None:
    store.put_new("in/deep/er/key", b"1")
    store.delete(["in/deep/er/key"])
    assert [path.name for path in (Path(store.name) / "blobs").rglob("*")] == ["in", "key"]


def test_a_folder_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreDenied) as caught:
        FolderStore(str(tmp_path / "file")).put("key", b"x")
    assert str(tmp_path / "file") in caught.value.message
