"""The contract of `ports/desk.py`, for every implementation: what the worker may rely on, and what
others see of it meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import NoSpace
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind, JobResult, Progress
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Network
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.domain.status import IllegalStep, JobStatus
from mcp_cloud_agents.ports.desk import Desk
from mcp_cloud_agents.storage.folder_desk import FolderDesk
from mcp_cloud_agents.storage.folder_store import FolderStore
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder
from mcp_cloud_agents.storage.job_objects import JobObjects, StoredState
from mcp_cloud_agents.storage.queue import Ticket
from mcp_cloud_agents.worker.aws.cancel_watch import CancelWatch
from mcp_cloud_agents.worker.aws.desk import ObjectsDesk
from mcp_cloud_agents.worker.redacting_desk import RedactingDesk
from mcp_cloud_agents.worker.vault import Given, Vault, was_handed
from tests.cloud_worker import eventually
from tests.unit.conftest import SPEC

CAP = 20_000
WAY = (JobState.STARTING, JobState.RUNNING, JobState.COLLECTING)
CAUSE = Cause(kind=CauseKind.CANCELLED, message="m", hint="h")
CANARY = "desk-canary-31b7"
GRANT = SecretGrant(name="TOKEN", source="env:T", phases=(Phase.RUN,))
HOST = HostPlan(state="/s", uv="/uv", concurrent_jobs=2, keep_days=30, keep_gib=10, owner=None)


@dataclass
class Place:
    """A desk, and the eyes of everybody else."""

    desk: Desk
    status: Callable[[], JobStatus]
    result: Callable[[], JobResult | None]
    log: Callable[[], bytes]
    cancel: Callable[[], None]
    age: Callable[[], None]
    """Makes the last beat look long ago."""


def in_a_folder(scratch: Path) -> Iterator[Place]:
    folder = JobFolder.create(str(scratch), SPEC, HOST, shared=False)
    lock = Ticket._take(folder.file("lock"))
    desk = FolderDesk(folder, lock, log_cap=CAP)
    yield Place(
        desk=desk,
        status=lambda: JobFolder(folder.path).status(),
        result=lambda: JobFolder(folder.path).result(),
        log=lambda: Path(folder.file("log")).read_bytes(),
        cancel=JobFolder(folder.path).ask_to_cancel,
        age=lambda: os.utime(folder.file("lock"), (0, 0)),
    )
    os.close(desk._log)
    os.close(lock)


def in_a_store(scratch: Path) -> Iterator[Place]:
    store = FolderStore(str(scratch / "store"))
    objects, others = JobObjects(store, SPEC.id), JobObjects(store, SPEC.id)
    assert objects.write_spec(SPEC)
    (scratch / "desk").mkdir()
    before = signal.getsignal(signal.SIGTERM)
    watch = CancelWatch(objects)
    watch.start()
    desk = ObjectsDesk(
        objects,
        str(scratch / "desk"),
        artifacts=str(scratch / "artifacts"),
        attempt=1,
        base=0,
        log_cap=CAP,
        watch=watch,
    )

    def stored() -> StoredState:
        return eventually(others.state)

    def age() -> None:
        status = stored().status
        others.write_state(StoredState(status=status, attempt=1, heartbeat_at=0.0))

    yield Place(
        desk=desk,
        status=lambda: replace(stored().status, heartbeat_at=stored().heartbeat_at),
        result=others.result,
        log=lambda: JobObjects(store, SPEC.id).log(0, 1 << 20).data,
        cancel=others.ask_to_cancel,
        age=age,
    )
    desk._close()
    signal.signal(signal.SIGTERM, before)


def behind_a_redactor(scratch: Path) -> Iterator[Place]:
    vault = Vault(replace(SPEC, secrets=(GRANT,)), Given(read=was_handed({"TOKEN": CANARY})))
    vault.expose(Phase.RUN)
    for place in in_a_folder(scratch):
        yield replace(place, desk=RedactingDesk(place.desk, vault))


DESKS = {"folder": in_a_folder, "store": in_a_store, "redactor": behind_a_redactor}


@pytest.fixture(params=DESKS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from DESKS[request.param](tmp_path)


@pytest.fixture(params=["folder"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On a disk of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        yield from DESKS[request.param](disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def seen(look: Callable[[], object], wanted: object) -> None:
    """Others see it, some seconds later where a thread carries it to a store."""
    with suppress(AssertionError):
        eventually(lambda: look() == wanted)
    assert look() == wanted


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * (1 << 20))
    return filler


def a_result(state: JobState, cause: Cause | None = None) -> JobResult:
    isolation = IsolationRecord(level=IsolationLevel.FULL, driver="d", run_network=Network.NONE)
    return JobResult(
        job_id=JobId(SPEC.id),
        spec_digest=SPEC.digest,
        state=state,
        exit_code=0,
        isolation=isolation,
        cause=cause,
    )


def walk(desk: Desk) -> None:
    for state in WAY:
        desk.enter(state)


def test_each_state_is_seen_as_soon_as_it_is_entered(place: Place) -> None:
    assert place.status().state is JobState.QUEUED
    for state in WAY:
        place.desk.enter(state)
        assert place.status().state is state
    assert [state for state, _ in place.status().history] == [JobState.QUEUED, *WAY]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED])
def test_a_step_that_does_not_exist_leaves_all_as_it_was(place: Place, state: JobState) -> None:
    before = place.status()
    with pytest.raises(IllegalStep):
        place.desk.enter(state)
    assert place.status() == before
    place.desk.enter(JobState.STARTING)


def test_the_log_holds_what_was_said_and_printed_in_order(place: Place) -> None:
    place.desk.log(b"one\xff\n")
    place.desk.say("two")
    place.desk.log(b"")
    place.desk.log(b"three")
    seen(place.log, b"one\xff\n[cloud-agents] two\nthree")
    place.desk.enter(JobState.STARTING)
    assert place.status().log_bytes == len(place.log())


@pytest.mark.parametrize("pieces", [[CAP + 5], [CAP, 5], [CAP - 1, 6], [CAP - 1, 1, 2, 3]])
def test_output_past_the_cap_is_counted_and_told_once(place: Place, pieces: list[int]) -> None:
    for size in pieces:
        place.desk.log(b"x" * size)
    eventually(lambda: place.log().endswith(b"\n"))
    kept, mark = place.log()[:CAP], place.log()[CAP:]
    assert kept == b"x" * CAP
    assert mark.count(b"log limit reached") == 1
    assert (place.desk.left_out_bytes, place.desk.disk_full) == (5, False)


def test_exactly_the_cap_leaves_nothing_out(place: Place) -> None:
    place.desk.log(b"x" * CAP)
    seen(place.log, b"x" * CAP)
    assert place.desk.left_out_bytes == 0


def test_our_own_lines_are_told_past_the_cap(place: Place) -> None:
    place.desk.log(b"x" * (CAP + 1))
    place.desk.say("the end")
    eventually(lambda: place.log().endswith(b"[cloud-agents] the end\n"))
    assert place.desk.left_out_bytes == 1


def test_progress_is_seen_and_no_news_keeps_it(place: Place) -> None:
    place.desk.beat(Progress(done=1, failed=0))
    place.desk.beat(None)
    seen(lambda: place.status().progress, Progress(done=1, failed=0))
    place.desk.enter(JobState.STARTING)
    assert place.status().progress == Progress(done=1, failed=0)


@pytest.mark.slow
def test_a_beat_is_seen_as_a_sign_of_life(place: Place) -> None:
    place.age()
    assert place.status().heartbeat_at == 0
    place.desk.beat(None)
    eventually(lambda: place.status().heartbeat_at)
    assert place.status().heartbeat_at == pytest.approx(time.time(), abs=60)


def test_a_cancel_by_anybody_is_seen_for_good(place: Place) -> None:
    assert place.desk.cancelled() is False
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(place.cancel) for _ in range(32)]
    for one in asked:
        one.result()
    walk(place.desk)
    eventually(place.desk.cancelled)
    assert place.desk.cancelled()


def test_the_last_word_is_seen_whole(place: Place) -> None:
    walk(place.desk)
    place.desk.say("done")
    result = a_result(JobState.SUCCEEDED)
    place.desk.finish(result, None)
    assert (place.status().state, place.status().cause) == (JobState.SUCCEEDED, None)
    assert place.result() == result
    assert place.status().history[-1][0] is JobState.SUCCEEDED


@pytest.mark.parametrize("steps", range(len(WAY) + 1))
@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT])
def test_a_job_can_end_badly_at_every_step(place: Place, steps: int, state: JobState) -> None:
    for step in WAY[:steps]:
        place.desk.enter(step)
    place.desk.finish(a_result(state, CAUSE), CAUSE)
    assert (place.status().state, place.status().cause) == (state, CAUSE)
    assert place.result() == a_result(state, CAUSE)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.STARTING, JobState.QUEUED])
def test_what_is_no_end_yet_writes_no_result(place: Place, state: JobState) -> None:
    with pytest.raises(IllegalStep):
        place.desk.finish(a_result(state), None)
    assert (place.status().state, place.result()) == (JobState.QUEUED, None)


def test_the_last_word_is_the_last(place: Place) -> None:
    place.desk.finish(a_result(JobState.CANCELLED, CAUSE), CAUSE)
    before = place.status(), place.result()
    with pytest.raises(IllegalStep):
        place.desk.finish(a_result(JobState.FAILED, CAUSE), CAUSE)
    with pytest.raises(IllegalStep):
        place.desk.enter(JobState.STARTING)
    assert (place.status(), place.result()) == before


def test_readers_never_see_half_of_anything(place: Place) -> None:
    """They look all the time: states only go on, the log only grows, an end has its result."""
    over = threading.Event()

    def look() -> int:
        looks, states, size = 0, 0, 0
        while not over.is_set() or looks == 0:
            status, log = place.status(), place.log()
            assert len(status.history) >= states
            assert len(log) >= size
            assert not status.state.done or place.result() == a_result(JobState.SUCCEEDED)
            states, size, looks = len(status.history), len(log), looks + 1
        return looks

    with ThreadPoolExecutor(3) as pool:
        looking = [pool.submit(look) for _ in range(3)]
        for state in WAY:
            place.desk.enter(state)
            for done in range(40):
                place.desk.log(b"line\n")
                place.desk.beat(Progress(done=done, failed=0))
        place.desk.finish(a_result(JobState.SUCCEEDED), None)
        over.set()
        assert all(one.result(60) for one in looking)
    assert place.status().state is JobState.SUCCEEDED


# A full disk


def test_a_full_disk_never_stops_the_output(full: Place, tmp_path: Path) -> None:
    full.desk.log(b"before\n")
    filler = fill(tmp_path / "disk")
    full.desk.log(b"x" * 12_000)
    for _ in range(10):
        full.desk.log(b"y" * 10)
        full.desk.say("still here")
        full.desk.beat(Progress(done=1, failed=0))
    kept = full.log()
    assert full.desk.disk_full
    assert kept.startswith(b"before\n")
    printed = kept.count(b"x") + kept.count(b"y")
    assert full.desk.left_out_bytes == 12_100 - printed
    filler.unlink()
    full.desk.log(b"after\n")
    assert full.log().endswith(b"after\n")


def test_a_step_on_a_full_disk_has_not_happened_and_can_be_taken_again(
    full: Place, tmp_path: Path
) -> None:
    filler = fill(tmp_path / "disk")
    with pytest.raises(NoSpace):
        full.desk.enter(JobState.STARTING)
    assert full.status().state is JobState.QUEUED
    with pytest.raises(NoSpace):
        full.desk.finish(a_result(JobState.FAILED, CAUSE), CAUSE)
    assert not full.status().state.done
    filler.unlink()
    full.desk.enter(JobState.STARTING)
    full.desk.finish(a_result(JobState.FAILED, CAUSE), CAUSE)
    assert full.status().state is JobState.FAILED
    assert full.result() == a_result(JobState.FAILED, CAUSE)
