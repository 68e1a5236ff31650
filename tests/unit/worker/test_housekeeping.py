"""The daily clean-up over real snapshots: what no kept job needs goes, whatever runs meanwhile."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import Snapshot
from mcp_cloud_agents.storage.lock import locked
from mcp_cloud_agents.storage.trees import size_of
from mcp_cloud_agents.worker.housekeeping import _age_snapshots, tidy
from tests.unit.worker.house import DAY_S, KEEP_DAYS, House, set_time


def test_old_snapshots_that_no_job_names_go_and_their_bytes_with_them(house: House) -> None:
    big = house.take(os.urandom(3_000_000))
    house.job(big, "jbig")
    house.take(b"small")
    size = size_of(house.store(big).path)
    house.tidy(after_days=KEEP_DAYS + 1)  # the job goes, its snapshot is parked
    assert not house.store(big).has(big.commit)
    assert house.holds(big)
    house.tidy(after_days=1)
    assert not house.holds(big)
    assert size_of(house.store(big).path) < size - 3_000_000


def test_a_snapshot_stays_as_long_as_a_kept_job_names_it(house: House) -> None:
    named, unnamed = house.take(b"named"), house.take(b"unnamed")
    house.take(b"now")
    house.day = KEEP_DAYS
    house.job(named, "jnew")
    house.day = 0
    for _ in range(3):
        house.tidy(after_days=KEEP_DAYS / 2)
    assert house.store(named).has(named.commit)
    assert house.snapshots.read(named, ["file"], limit_bytes=99) == {"file": b"named"}
    assert not house.holds(unnamed)


def test_a_young_snapshot_without_a_job_stays(house: House) -> None:
    young = house.take(b"young")
    house.take(b"now")
    house.tidy(after_days=KEEP_DAYS - 1)
    assert house.store(young).has(young.commit)


def test_packing_the_refs_does_not_make_them_young_again(house: House) -> None:
    old = house.take(b"old")
    house.take(b"now")
    house.tidy(after_days=0)
    for day in range(5):  # a busy store is packed again and again
        house.store(old).git.run("pack-refs", "--all")
        packed = os.path.join(house.store(old).path, "packed-refs")
        set_time(packed, house.day)
        assert house.store(old).has(old.commit), day
        house.use()
        house.tidy(after_days=KEEP_DAYS / 5 + 0.1)
    assert not house.store(old).has(old.commit)


def test_a_job_made_just_after_its_snapshot_was_parked_restores_and_brings_it_back(
    house: House,
) -> None:
    found = house.take(b"found")
    house.take(b"now")
    house.tidy(after_days=KEEP_DAYS + 1)  # between the submit's look and its job
    house.job(found, "jlate")
    assert house.holds(found)
    house.tidy(after_days=1)
    assert house.store(found).has(found.commit)
    house.tidy(after_days=2)
    assert house.holds(found)


def test_a_snapshot_taken_again_after_it_was_parked_is_sent_again_and_stays(house: House) -> None:
    house.take(b"again")
    house.take(b"now")
    house.tidy(after_days=KEEP_DAYS + 1)
    again = house.take(b"again")
    assert house.store(again).has(again.commit)
    house.take(b"now")
    house.tidy(after_days=1)
    assert house.holds(again)


def test_what_the_next_snapshot_is_based_on_stays_however_old(house: House) -> None:
    (house.top / "other").write_bytes(b"unchanged")
    house.take(b"old")
    for _ in range(3):
        house.tidy(after_days=KEEP_DAYS / 2 - 1)
        house.use()
    edited = house.take(b"edited")
    assert edited.sent_bytes < 1_000
    assert house.holds(edited)


@pytest.mark.slow
def test_the_bytes_of_many_old_edits_go_and_later_edits_are_whole(house: House) -> None:
    for number in range(60):  # so many that they are packed together on the way
        house.take(b"%d" % number)
    for days in (KEEP_DAYS - 1, 2, 1):
        house.tidy(after_days=days)
        house.use()
    last = house.take(b"after")
    assert house.holds(last)
    house.git("-C", house.store(last).path, "fsck", "--full", "--strict")
    refs = house.store(last).git.run("for-each-ref").decode().splitlines()
    assert len(refs) == 2  # the last before, which this one was based on


@pytest.fixture
def linked(house: House) -> Path:
    """A second worktree of the repository, with a cache of its own."""
    house.git("add", "-A")
    house.git("commit", "-q", "--allow-empty", "-m", "x")
    house.git("worktree", "add", "-q", "--detach", str(house.scratch / "linked"))
    return house.scratch / "linked"


def test_the_cache_of_a_worktree_that_is_gone_is_removed_at_once(
    house: House, linked: Path
) -> None:
    here, there = house.take(b"here"), house.take(b"there", linked)
    house.job(there, "jthere")
    before = set(house.left()["snapshots"])
    shutil.rmtree(linked)
    house.tidy(after_days=1)
    assert len(before) == 4
    assert len(set(house.left()["snapshots"])) == 2
    assert house.take(b"here").sent_bytes == 0
    assert house.holds(here)
    assert house.holds(there)  # of a kept job


def test_the_cache_of_a_repository_that_is_gone_is_removed_at_once(house: House) -> None:
    house.take(b"x")
    shutil.rmtree(house.top)
    house.tidy(after_days=1)
    assert house.left()["snapshots"] == []


def test_a_cache_in_use_is_left_alone(house: House) -> None:
    house.take(b"x")
    (name,) = (name for name in house.left()["snapshots"] if not name.endswith(".lock"))
    shutil.rmtree(house.top)
    with locked(os.path.join(house.state.snapshots, f"{name}.lock")):
        house.tidy(after_days=1)
        assert name in house.left()["snapshots"]
    house.tidy(after_days=1)
    assert house.left()["snapshots"] == []


def test_a_repository_that_is_gone_leaves_nothing_in_the_end(house: House) -> None:
    house.job(house.take(b"x"), "jx")
    shutil.rmtree(house.top)
    for days in (1, KEEP_DAYS, 1, 1):
        assert any(name.endswith(".git") for name in house.left()["repositories"])
        house.tidy(after_days=days)
    assert house.left() == {"snapshots": [], "repositories": ["ids"], "ids": []}


def test_a_store_that_is_on_its_way_out_is_made_anew_by_a_submit(house: House) -> None:
    old = house.take(b"x")
    for days in (KEEP_DAYS + 1, 1):
        house.tidy(after_days=days)
    assert house.left()["ids"] == [f"{old.repository}.lock"]
    new = house.take(b"x")
    assert new.repository != old.repository
    assert new.sent_bytes > 0
    house.tidy(after_days=1)
    assert house.holds(new)
    assert not os.path.exists(house.store(new).path.replace(new.repository, old.repository))


def test_a_store_that_was_just_made_is_not_on_its_way_out(house: House) -> None:
    house.stores.of(str(house.top / ".git"), "sha1")  # a first snapshot is being taken
    house.tidy(after_days=0)
    assert len(house.left()["ids"]) == 3


@contextmanager
def held(house: House, snapshot: Snapshot) -> Generator[threading.Event]:
    """The store's writer's lock, held by another."""
    released = threading.Event()
    ready = threading.Event()

    def hold() -> None:
        with house.stores.writing(house.store(snapshot)):
            ready.set()
            released.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        assert ready.wait(60)
        yield released
        released.set()


def test_a_snapshot_being_sent_is_waited_for(house: House) -> None:
    old = house.take(b"old")
    house.take(b"now")
    with held(house, old) as released, ThreadPoolExecutor(1) as pool:
        cleaning = pool.submit(house.tidy, after_days=KEEP_DAYS + 1)
        assert not cleaning.done()
        assert house.store(old).has(old.commit)
        released.set()
        cleaning.result(60)
    assert not house.store(old).has(old.commit)


def test_submits_and_clean_ups_at_once_lose_no_snapshot(house: House, linked: Path) -> None:
    """Days pass in between, but none within a submit."""
    rounds = 12
    kept: list[Snapshot] = []
    made = {house.top: 0, linked: 0}
    changed = threading.Condition()

    def submit(top: Path) -> None:
        for number in range(rounds):
            snapshot = house.take(b"%d" % (number % 4), top)  # the same ones come again and again
            house.job(snapshot, f"j{top.name}{number}")
            kept.append(snapshot)
            with changed:
                made[top] += 1
                changed.notify()

    def clean() -> None:
        now = time.time()
        for number in range(rounds):
            wanted = {top: min(made[top] + 2, rounds) for top in made}
            _age_snapshots(house.state, house.host, now + number * (KEEP_DAYS / 4) * DAY_S)
            with changed:
                while any(made[top] < number for top, number in wanted.items()):
                    assert changed.wait(60)

    house.day = rounds * KEEP_DAYS  # jobs of the future: all are kept
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(submit, house.top), pool.submit(submit, linked), pool.submit(clean)]
        for one in running:
            one.result(100)
    assert len(kept) == 2 * rounds
    assert all(house.holds(snapshot) for snapshot in kept)


def test_what_was_parked_stays_for_a_day(house: House) -> None:
    old = house.take(b"old")
    house.take(b"now")
    house.tidy(after_days=KEEP_DAYS + 1)
    house.tidy(after_days=0.9)
    assert house.holds(old)
    house.tidy(after_days=0.2)
    assert not os.path.exists(house.store(old).path) or not house.holds(old)


def test_the_clean_up_is_made_once_a_day(house: House) -> None:
    tidy(house.state, house.host)
    left = Path(house.state.repositories, ".old-x")
    left.mkdir()
    tidy(house.state, house.host)
    assert left.exists()
    os.utime(house.state.tidied, (0, 0))
    tidy(house.state, house.host)
    assert not left.exists()
