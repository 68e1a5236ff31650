"""Clean-ups that were killed in between, and what they left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.worker.house import KEEP_DAYS, House


def test_a_clean_up_killed_before_the_repack_is_made_good_for(house: House) -> None:
    big = house.take(os.urandom(2_000_000))
    house.take(b"now")
    store = house.store(big)
    store.git.run("update-ref", "-d", f"refs/snapshots/{big.commit}")
    Path(store.path, "shrinking").touch()
    house.tidy(after_days=0)
    assert not house.holds(big)
    assert not Path(store.path, "shrinking").exists()


def test_ref_locks_of_a_killed_git_do_not_keep_a_store_from_being_written(house: House) -> None:
    snapshot = house.take(b"x")
    store = Path(house.store(snapshot).path)
    dead = [store / "packed-refs.lock", store / "refs" / "snapshots" / "x.lock"]
    for lock in dead:
        lock.touch()
        os.utime(lock, (0, 0))
    house.tidy(after_days=0)
    assert not any(lock.exists() for lock in dead)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"seen": 3}'])
def test_ages_that_were_damaged_are_read_off_the_refs(house: House, content: bytes) -> None:
    old = house.take(b"old")
    house.take(b"now")
    house.store(old).git.run("pack-refs", "--all")
    Path(house.store(old).path, "ages.json").write_bytes(content)
    house.tidy(after_days=KEEP_DAYS - 1)
    assert house.store(old).has(old.commit)
    house.tidy(after_days=2)
    assert not house.store(old).has(old.commit)


def test_what_killed_removals_left_aside_goes(house: House) -> None:
    house.take(b"x")
    for folder in (house.state.snapshots, house.state.repositories):
        Path(folder, ".old-x", "objects").mkdir(parents=True)
    Path(house.state.repositories, f"{'0' * 32}.git.new.1234").mkdir()
    house.tidy(after_days=2)
    names = [*house.left()["snapshots"], *house.left()["repositories"]]
    assert not [name for name in names if ".old-" in name or ".new." in name]


def test_a_damaged_store_does_not_keep_the_others_from_being_cleaned(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    old = house.take(b"old")
    house.take(b"now")
    Path(house.state.repositories, f"{'0' * 32}.git").mkdir()
    house.tidy(after_days=KEEP_DAYS + 1)
    assert not house.store(old).has(old.commit)
    assert "store_not_aged" in caplog.text
