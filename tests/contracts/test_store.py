"""What every implementation of the port `Store` keeps.

The S3 that containers of the worker image use in the backend's contract is the same moto as here.
"""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.ports.store import Listed
from tests.stores import KINDS, ROOT, at, new_place, s3_server

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.store import Data, Store

PART = 5 << 20  # the smallest that S3 takes
BLOB = random.Random(1).randbytes(3 * PART + 17)  # noqa: S311  no secret


@dataclass(frozen=True)
class Place:
    kind: str
    where: str

    def open(self) -> Store:
        return at(self.kind, self.where)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[Callable[[], str]]:
    """Starts S3 when somebody asks for it, once."""
    with ExitStack() as started:
        yield cache(lambda: started.enter_context(s3_server()))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, s3_endpoint: Callable[[], str]) -> Place:
    return Place(request.param, new_place(request.param, tmp_path, s3_endpoint))


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture
def parted(place: Place) -> Store:
    """A store that takes what is over 5 MiB in parts, where it knows parts."""
    if place.kind == "folder":
        return place.open()
    return at(place.kind, place.where, part_bytes=PART)


def test_a_blob_is_read_back_whole(store: Store) -> None:
    assert store.put_new("a/b/c", b"one\0two")
    assert (store.get("a/b/c"), store.size("a/b/c")) == (b"one\0two", 7)


def test_what_was_written_once_stays_as_it_was(store: Store) -> None:
    assert store.put_new("key", b"first")
    assert not store.put_new("key", b"second")
    assert store.get("key") == b"first"


def test_put_replaces_and_makes(store: Store) -> None:
    store.put("a/key", b"first")
    store.put("a/key", b"2")
    assert (store.get("a/key"), store.size("a/key")) == (b"2", 1)


def test_what_is_not_there_is_told_by_none(store: Store, tmp_path: Path) -> None:
    store.put_new("folder/key", b"x")
    for key in ("other", "folder", "folder/ke", "folder/key/deeper"):
        assert (store.get(key), store.get(key, limit=0), store.size(key)) == (None, None, None)
        assert not store.download(key, str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 1 << 40])
@pytest.mark.parametrize("limit", [None, 0, 1, 10, 1 << 40])
def test_a_piece_is_what_a_slice_would_be(store: Store, offset: int, limit: int | None) -> None:
    store.put_new("key", b"0123456789")
    end = None if limit is None else offset + limit
    assert store.get("key", offset=offset, limit=limit) == b"0123456789"[offset:end]


def test_an_empty_blob_is_there(store: Store, tmp_path: Path) -> None:
    assert store.put_new("empty", b"")
    assert not store.put_new("empty", b"")
    assert (store.get("empty"), store.size("empty")) == (b"", 0)
    assert (store.get("empty", offset=3), store.get("empty", limit=3)) == (b"", b"")
    assert store.download("empty", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b""
    assert store.list("") == (Listed("empty", 0),)


def test_a_listing_is_sorted_by_bytes_and_cut_by_prefix(store: Store) -> None:
    keys = ["a-b", "a.b", "a/b", "a/c/d", "aB", "b", "é/ü", "z z/+%&"]
    for key in keys:
        store.put_new(key, key.encode())
    wanted = tuple(Listed(key, len(key.encode())) for key in sorted(keys, key=str.encode))
    assert store.list("") == wanted
    assert [one.key for one in store.list("a")] == ["a-b", "a.b", "a/b", "a/c/d", "aB"]
    assert [one.key for one in store.list("a/")] == ["a/b", "a/c/d"]
    assert [one.key for one in store.list("a/c")] == ["a/c/d"]
    assert [one.key for one in store.list("", after="a/c/d")] == ["aB", "b", "z z/+%&", "é/ü"]
    assert store.list("nothing/here") == ()


def test_folders_are_the_names_below_a_prefix(store: Store) -> None:
    for key in ("jobs/j2/spec", "jobs/j1/log/0", "jobs/j1/spec", "jobs/stray", "other/x"):
        store.put_new(key, b"")
    assert store.folders("jobs/") == ("j1", "j2")
    assert store.folders("") == ("jobs", "other")
    assert store.folders("none/") == ()


@pytest.mark.slow
def test_thousands_of_blobs_are_listed_and_deleted(place: Place) -> None:
    count = 5_000 if place.kind == "folder" else 1_100
    store = place.open() if place.kind == "folder" else at(place.kind, place.where, page=100)
    keys = [f"many/{number:05}" for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(store.put_new, keys, map(str.encode, keys)))
    assert [one.key for one in store.list("many/")] == keys
    assert [one.key for one in store.list("many/", after=keys[-3])] == keys[-2:]
    store.delete([*keys[1:], "many/missing", "missing/too"])
    assert store.list("") == (Listed(keys[0], len(keys[0])),)


def test_deleted_keys_can_be_written_again(store: Store) -> None:
    store.put_new("deep/er/key", b"1")
    store.delete(["deep/er/key"])
    assert (store.get("deep/er/key"), store.folders("")) == (None, ())
    assert store.put_new("deep/er/key", b"2")
    store.delete([])
    assert store.get("deep/er/key") == b"2"


def test_a_large_file_goes_and_comes_back_whole(parted: Store, tmp_path: Path) -> None:
    path, copy = tmp_path / "large", tmp_path / "copy"
    path.write_bytes(b"skipped" + BLOB)
    with path.open("rb") as file:
        file.seek(7)
        assert parted.put_new("large", file)
    assert parted.size("large") == len(BLOB)
    assert parted.download("large", str(copy))
    assert copy.read_bytes() == BLOB
    assert parted.get("large", offset=PART - 3, limit=9) == BLOB[PART - 3 : PART + 6]
    assert sorted(os.listdir(tmp_path))[:2] == ["copy", "large"]


@pytest.mark.parametrize("limit", [0, 1, PART, PART + 1, len(BLOB), len(BLOB) + 1])
def test_a_download_stops_at_its_limit(parted: Store, tmp_path: Path, limit: int) -> None:
    parted.put_new("large", BLOB)
    assert parted.download("large", str(tmp_path / "copy"), limit=limit)
    assert (tmp_path / "copy").read_bytes() == BLOB[:limit]


@pytest.mark.parametrize("data", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_a_large_blob_is_written_once_too(parted: Store, data: Callable[[bytes], Data]) -> None:
    assert parted.put_new("large", b"first" * PART)
    assert not parted.put_new("large", data(BLOB))
    assert parted.size("large") == 5 * PART
    parted.put("large", data(BLOB))
    assert parted.get("large") == BLOB


def test_a_download_replaces_what_is_there_only_when_it_is_whole(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "copy").write_bytes(b"old")
    store.put_new("key", b"new")
    assert not store.download("other", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"old"
    assert store.download("key", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"new"


def test_of_many_threads_one_writes(store: Store) -> None:
    contents = [b"%d" % number * 1_000 for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        wrote = list(pool.map(partial(store.put_new, "race/key"), contents))
    assert wrote.count(True) == 1
    assert store.get("race/key") == contents[wrote.index(True)]


def test_of_many_threads_with_large_blobs_one_writes(parted: Store) -> None:
    contents = [bytes([number]) * (PART + 1) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        wrote = list(pool.map(partial(parted.put_new, "race/large"), contents))
    assert wrote.count(True) == 1
    assert parted.get("race/large") == contents[wrote.index(True)]


class Interrupted(io.BytesIO):
    """A file in whose middle something else happens, once."""

    def __init__(self, data: bytes, meanwhile: Callable[[], object]) -> None:
        super().__init__(data)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def read(self, size: int | None = -1, /) -> bytes:
        while self._meanwhile:
            self._meanwhile.pop()()
        return super().read(size)


@pytest.mark.parametrize("size", [10, PART + 1])
def test_a_writer_that_is_overtaken_says_so(parted: Store, size: int) -> None:
    file = Interrupted(b"x" * size, lambda: parted.put_new("key", b"overtaker"))
    assert not parted.put_new("key", file)
    assert parted.get("key") == b"overtaker"


def test_of_many_processes_one_writes(place: Place) -> None:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-m", "tests.stores", place.kind, place.where, "race/key"]
    racers = [
        subprocess.Popen([*argv, str(number)], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert sorted(said) == ["False", "False", "False", "True"]
    assert place.open().get("race/key") == b"%d" % said.index("True")


def test_a_reader_never_sees_half_of_a_replaced_blob(store: Store) -> None:
    whole = {bytes([number]) * 200_000 for number in range(8)}
    store.put("state", min(whole))
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(store.put, "state", data) for data in sorted(whole) * 3]
        seen = {store.get("state") for _ in range(20)}
        for write in writes:
            write.result()
    assert seen <= whole


def test_writers_and_removers_of_one_folder_do_not_hurt_each_other(store: Store) -> None:
    def turn(number: int) -> bool:
        key = f"busy/{number % 3}/key{number}"
        store.put(key, b"x")
        there = store.get(key) == b"x"
        store.delete([key])
        return there and store.get(key) is None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(turn, range(150)))
    assert store.list("") == ()


BAD = [
    *("", "/", "/abs", "a//b", "a/", "../a", "a/../b", "a/..", "./a", "a\0b", "a\nb", "\x7f"),
    *("a/" * 512 + "a", "x" * 201, "\udcff"),
]


@pytest.mark.parametrize("key", BAD, ids=[repr(key)[:20] for key in BAD])
def test_what_is_no_key_is_refused_by_every_method(store: Store, key: str, tmp_path: Path) -> None:
    uses: tuple[Callable[[], object], ...] = (
        lambda: store.put_new(key, b"x"),
        lambda: store.put(key, b"x"),
        lambda: store.get(key),
        lambda: store.get(key, limit=0),
        lambda: store.size(key),
        lambda: store.delete([key]),
        lambda: store.download(key, str(tmp_path / "copy")),
    )
    for use in uses:
        with pytest.raises(InvalidArgument):
            use()
    assert store.list("") == ()


def test_the_longest_key_works(store: Store) -> None:
    key = "/".join(["k" * 200] * 5) + "/" + "e" * 19
    assert len(key) == 1_024
    assert store.put_new(key, b"x")
    assert store.list("k") == (Listed(key, 1),)
    assert store.get(key) == b"x"


def test_two_stores_have_two_names(place: Place, tmp_path: Path) -> None:
    assert place.open().name == place.open().name
    assert place.open().name != at("folder", str(tmp_path / "another")).name
