"""Packs written here are packs to git."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.snapshots.objects import object_id, snapshot_commit, with_entries
from mcp_cloud_agents.snapshots.pack_file import NewObject, delta, pack_file
from mcp_cloud_agents.snapshots.pack_index import in_packs

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.binary(max_size=400)
FORMATS = ["sha1", "sha256"]


def git(folder: Path, *args: str, stdin: bytes = b"") -> bytes:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        ["git", *args], cwd=folder, env=env, input=stdin, capture_output=True, check=True
    )
    return done.stdout


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path, form: str) -> Path:
    git(tmp_path, "init", "-q", "--bare", f"--object-format={form}", "store")
    return tmp_path / "store"


def applied(old: bytes, steps: bytes) -> bytes:
    """A delta read as gitformat-pack(5) says."""
    at = 0
    sizes: list[int] = []
    for _ in range(2):
        size = shift = 0
        while True:
            byte = steps[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        sizes.append(size)
    new = b""
    while at < len(steps):
        step = steps[at]
        at += 1
        if not step & 0x80:
            new += steps[at : at + step]
            at += step
            continue
        numbers = [0] * 7
        for bit in range(7):
            if step & 1 << bit:
                numbers[bit] = steps[at]
                at += 1
        offset = int.from_bytes(bytes(numbers[:4]), "little")
        new += old[offset : offset + int.from_bytes(bytes(numbers[4:]), "little")]
    assert sizes == [len(old), len(new)]
    return new


@given(start=TEXT, end=TEXT, old=TEXT, new=TEXT)
def test_a_delta_makes_the_new_of_the_old(start: bytes, end: bytes, old: bytes, new: bytes) -> None:
    before, after = start + old + end, start + new + end
    assert applied(before, delta(before, after)) == after


@pytest.mark.parametrize("size", [0, 127, 128, 0xFFFFFF, 0x1000000, 0x1000001])
def test_a_delta_copies_what_is_longer_than_one_copy(size: int) -> None:
    old = b"x" * size
    steps = delta(old + b"a" + old, old + b"b" + old)
    assert applied(old + b"a" + old, steps) == old + b"b" + old
    assert len(steps) < 100


def test_git_reads_a_pack_written_here(store: Path, form: str) -> None:
    old = b"".join(b"line %d\n" % number for number in range(1_000))
    new = old.replace(b"line 500\n", b"another\n")
    objects = [NewObject("blob", new, old), NewObject("blob", b"alone"), NewObject("blob", b"")]
    pack = pack_file(form, objects)
    packs = store / "objects" / "pack"
    (packs / f"pack-{pack.name}.pack").write_bytes(pack.whole)
    (packs / f"pack-{pack.name}.idx").write_bytes(pack.index)
    git(store, "verify-pack", f"objects/pack/pack-{pack.name}.idx")
    git(store, "fsck", "--strict")
    for content in (new, old, b"alone", b""):
        oid = object_id(form, "blob", content)
        assert git(store, "cat-file", "blob", oid.hex()) == content
        assert in_packs(str(packs), oid)


def test_git_completes_the_thin_pack_where_the_base_is(store: Path, form: str) -> None:
    old, new = b"a\n" * 5_000, b"a\n" * 2_500 + b"b\n" + b"a\n" * 2_500
    git(store, "hash-object", "-w", "--stdin", stdin=old)
    pack = pack_file(form, [NewObject("blob", new, old)])
    assert len(pack.thin) < 150
    git(store, "index-pack", "--stdin", "--fix-thin", stdin=pack.thin)
    assert git(store, "cat-file", "blob", object_id(form, "blob", new).hex()) == new


def test_two_objects_with_one_base_and_a_base_that_is_sent_are_packed_once(form: str) -> None:
    one, two, old = b"1" + b"x" * 99, b"2" + b"x" * 99, b"0" + b"x" * 99
    pack = pack_file(form, [NewObject("blob", one, old), NewObject("blob", two, one)])
    assert int.from_bytes(pack.whole[8:12], "big") == 3
    assert int.from_bytes(pack.thin[8:12], "big") == 2


def test_the_commit_is_the_one_that_git_writes(store: Path, form: str) -> None:
    tree = git(store, "mktree").decode().strip()
    who = "-c", "user.name=snapshot", "-c", "user.email=snapshot@invalid"
    made = subprocess.run(
        ["git", *who, "commit-tree", tree, "-m", "snapshot"],
        cwd=store,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "GIT_AUTHOR_DATE": "@0 +0000",
            "GIT_COMMITTER_DATE": "@0 +0000",
        },
        capture_output=True,
        check=True,
    )
    oid = object_id(form, "commit", snapshot_commit(tree)).hex()
    assert made.stdout.decode().strip() == oid


def test_what_is_in_no_pack_is_not_found(store: Path, form: str) -> None:
    packs = store / "objects" / "pack"
    (packs / "pack-cut.idx").write_bytes(b"\xfftOc")
    (packs / "pack-cut.pack").write_bytes(b"PACK")
    (packs / "pack-gone.idx").write_bytes(pack_file(form, [NewObject("blob", b"x")]).index)
    assert not in_packs(str(packs), object_id(form, "blob", b"x"))
    assert not in_packs(str(packs / "missing"), object_id(form, "blob", b"x"))


def test_a_name_that_the_tree_lacks_is_an_error() -> None:
    tree = b"100644 a\0" + b"1" * 20
    assert with_entries(tree, 20, {b"a": (b"100755", b"2" * 20)}) == b"100755 a\0" + b"2" * 20
    with pytest.raises(KeyError):
        with_entries(tree, 20, {b"b": (b"100644", b"2" * 20)})
