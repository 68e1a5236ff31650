"""The contract of `ports/backend.py`, for every implementation.

The emulated AWS twice: its jobs are processes, and they are containers of the worker image under
Fargate's restrictions (`tests/docker_engine.py`; skipped where Docker cannot run).
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownArtifact, UnknownJob
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState
from mcp_cloud_agents.domain.result import CauseKind, JobResult
from mcp_cloud_agents.ports.backend import Bytes
from tests.account import Account, an_account
from tests.contracts.places import (
    BEGUN,
    HOSTILE,
    SLOW,
    Cloud,
    Guarded,
    Local,
    Place,
    begun,
    ended,
    log,
    until,
)
from tests.docker_engine import Engine, a_task
from tests.e2e.wire import a_repository

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
PLACES = [
    *("local", "breaker", pytest.param("aws_batch", marks=pytest.mark.slow)),
    pytest.param("containers", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),  # builds them
]
QUICK: dict[str, Any] = {"pull_s": 0.05, "log_flush_s": 0.05, "stop_grace_s": 20.0}


@pytest.fixture(scope="module")
def aws_batch() -> Iterator[Account]:
    with an_account(**QUICK) as made:
        yield made


@pytest.fixture(scope="module")
def containers(docker_engine: Engine, worker_image: str) -> Iterator[Account]:
    with a_task(docker_engine, worker_image) as task, an_account(task.argv, **QUICK) as made:
        yield made


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, open_path: Path) -> Place:
    made = a_repository(open_path)
    cwd, jobs = str(made.path), str(open_path / "state" / "jobs")
    match request.param:
        case "local":
            return Local(made.env, cwd, jobs)
        case "breaker":
            return Guarded(made.env, cwd, jobs)
        case account:
            return Cloud(made.env, cwd, request.getfixturevalue(account))


async def test_a_submitted_job_is_known_to_everybody_at_once(place: Place) -> None:
    spec = place.spec("echo ran")
    await place.backend().submit(spec)
    other = place.backend()
    first = (await other.status(spec.id)).history[0]
    assert first[0] is JobState.QUEUED
    status = await until(other, spec.id, ended)
    assert [state for state, _ in status.history] == [
        *(JobState.QUEUED, JobState.STARTING, JobState.RUNNING),
        *(JobState.COLLECTING, JobState.SUCCEEDED),
    ]
    assert [at for _, at in status.history] == sorted(at for _, at in status.history)


async def test_a_result_is_there_as_soon_as_the_state_says_so(place: Place) -> None:
    backend, spec = place.backend(), place.spec("exit 7")
    await backend.submit(spec)
    seen: list[JobResult | None] = []
    with anyio.fail_after(60):
        async with backend.watch(spec.id) as watch:
            while not (await backend.status(spec.id)).state.done:
                seen.append(await backend.result(spec.id))
                await watch.changed(timeout_s=1)
    result = await backend.result(spec.id)
    assert result is not None
    assert (result.state, result.exit_code, result.cause) == (JobState.SUCCEEDED, 7, None)
    assert set(seen[:1]) <= {None}


async def test_submitting_again_does_nothing(place: Place) -> None:
    backend, spec = place.backend(), place.spec("echo ran")
    await backend.submit(spec)
    await backend.submit(spec)
    done = await until(backend, spec.id, ended)
    await place.backend().submit(spec)
    assert await backend.status(spec.id) == done
    assert (await log(backend, spec.id)).count(b"\nran\n") == 1


async def test_many_submits_at_once_start_one_job(place: Place) -> None:
    backends, spec = [place.backend() for _ in range(3)], place.spec("echo ran; sleep 0.2")
    async with anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(backends[number % 3].submit, spec)
    await until(backends[0], spec.id, ended)
    assert (await log(backends[0], spec.id)).count(b"\nran\n") == 1
    assert place.starts(spec) == 1


def submit_at(barrier: Barrier, place: Place, spec: bytes) -> None:
    backend, decoded = place.backend(), msgspec.json.decode(spec, type=JobSpec)
    barrier.wait(30)
    anyio.run(backend.submit, decoded)


async def test_submits_of_two_processes_start_one_job(place: Place) -> None:
    spec = place.spec("echo ran; sleep 0.2")
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(2)
    given: Any = (barrier, place, msgspec.json.encode(spec))
    both = [spawning.Process(target=submit_at, args=given) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        await anyio.to_thread.run_sync(process.join, 60)
    assert [process.exitcode for process in both] == [0, 0]
    backend = place.backend()
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED
    assert (await log(backend, spec.id)).count(b"\nran\n") == 1


async def test_a_folder_whose_submit_was_killed_is_started_by_the_next(place: Place) -> None:
    backend, spec = place.backend(), place.spec("echo ran")
    place.claim(spec)
    assert (await backend.status(spec.id)).state is JobState.QUEUED
    assert await backend.result(spec.id) is None
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


async def test_a_job_that_never_started_is_lost_after_a_minute_yet_can_be_started(
    place: Place,
) -> None:
    backend, spec = place.backend(), replace(place.spec("true"), created_at=time.time() - 100)
    place.claim(spec)
    assert (await backend.status(spec.id)).state is JobState.LOST
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.SUCCEEDED


async def test_a_cancelled_job_ends_and_keeps_its_log(place: Place) -> None:
    backend, spec = place.backend(), place.spec(SLOW)
    await backend.submit(spec)
    await begun(backend, spec.id)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(backend.cancel, spec.id)
    await place.backend().cancel(spec.id)
    status = await until(backend, spec.id, ended)
    assert status.cause is not None
    assert (status.state, status.cause.kind) == (JobState.CANCELLED, CauseKind.CANCELLED)
    assert BEGUN.encode() in await log(backend, spec.id)


async def test_many_jobs_are_cancelled_at_once_and_the_done_ones_stay(place: Place) -> None:
    backend, done = place.backend(), place.spec("true")
    await backend.submit(done)
    before = await until(backend, done.id, ended)
    waiting = [place.spec(SLOW) for _ in range(2)]
    for spec in waiting:
        await backend.submit(spec)
    await place.backend().cancel_many([done.id, *(spec.id for spec in waiting)])
    for spec in waiting:
        assert (await until(backend, spec.id, ended)).state is JobState.CANCELLED
    assert await backend.status(done.id) == before


async def test_cancelling_a_job_that_is_done_changes_nothing(place: Place) -> None:
    backend, spec = place.backend(), place.spec("true")
    await backend.submit(spec)
    done = await until(backend, spec.id, ended)
    await backend.cancel(spec.id)
    assert await backend.status(spec.id) == done


async def test_a_job_cancelled_before_it_started_never_runs(place: Place) -> None:
    backend, spec = place.backend(), place.spec("echo ran")
    place.claim(spec)
    await backend.cancel(spec.id)
    await backend.submit(spec)
    assert (await until(backend, spec.id, ended)).state is JobState.CANCELLED
    assert b"\nran\n" not in await log(backend, spec.id)


async def test_the_log_reads_by_offset_and_is_empty_past_its_end(place: Place) -> None:
    backend, spec = place.backend(), place.spec("printf 'a\\377b'")
    await backend.submit(spec)
    await until(backend, spec.id, ended)
    whole = await log(backend, spec.id)
    size = len(whole)
    assert whole.endswith(b"a\xffb")
    assert await backend.log(spec.id, offset=size - 3, limit=2) == Bytes(
        data=b"a\xff", offset=size - 3, size=size
    )
    for offset in (size, size + 1, 10**30):
        empty = Bytes(data=b"", offset=size, size=size)
        assert await backend.log(spec.id, offset=offset, limit=9) == empty
        assert empty.next_offset == size


async def test_a_job_that_has_said_nothing_yet_has_an_empty_log(place: Place) -> None:
    backend, spec = place.backend(), place.spec("true")
    place.claim(spec)
    empty = Bytes(data=b"", offset=0, size=0)
    assert await backend.log(spec.id, offset=5, limit=9) == empty
    with pytest.raises(UnknownArtifact):
        await backend.artifact(spec.id, "patch.diff", offset=0, limit=9)


async def test_artifacts_read_by_name_and_offset(place: Place) -> None:
    backend, spec = place.backend(), place.spec("echo new > new.txt")
    await backend.submit(spec)
    await until(backend, spec.id, ended)
    result = await backend.result(spec.id)
    assert result is not None
    assert result.patch is not None
    whole = await backend.artifact(spec.id, "patch.diff", offset=0, limit=1 << 20)
    assert (whole.offset, whole.size) == (0, result.patch.size_bytes)
    piece = await backend.artifact(spec.id, "patch.diff", offset=5, limit=3)
    assert (piece.data, piece.offset) == (whole.data[5:8], 5)
    past = await backend.artifact(spec.id, "patch.diff", offset=10**30, limit=3)
    assert (past.data, past.offset) == (b"", whole.size)


@pytest.mark.parametrize("name", [*HOSTILE, "../spec.json", "..\\x", "patch.diff\n"])
async def test_no_name_of_an_artifact_leads_anywhere_else(place: Place, name: str) -> None:
    backend, spec = place.backend(), place.spec("true")
    place.claim(spec)
    with pytest.raises(UnknownArtifact):
        await backend.artifact(spec.id, name, offset=0, limit=9)


@pytest.mark.parametrize("job_id", [*HOSTILE, "jnothing"])
async def test_an_id_that_names_no_job_is_unknown_to_every_method(
    place: Place, job_id: str
) -> None:
    backend, job = place.backend(), JobId(job_id)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: backend.spec(job),
        lambda: backend.status(job),
        lambda: backend.result(job),
        lambda: backend.log(job, offset=0, limit=1),
        lambda: backend.artifact(job, "patch.diff", offset=0, limit=1),
        lambda: backend.cancel(job),
    )
    for call in calls:
        with pytest.raises(UnknownJob):
            await call()


async def test_a_watch_hears_a_change_and_only_a_change(place: Place) -> None:
    backend, spec = place.backend(), place.spec(SLOW)
    place.claim(spec)
    async with backend.watch(spec.id) as watch:
        assert await watch.changed(timeout_s=0.05) is False
        await backend.submit(spec)
        assert await watch.changed(timeout_s=30) is True
    await backend.cancel(spec.id)
    await until(backend, spec.id, ended)


async def test_a_damaged_job_is_told_and_no_other_suffers(place: Place) -> None:
    backend, bad, good = place.backend(), place.spec("true"), place.spec("true")
    for spec in (bad, good):
        await backend.submit(spec)
        await until(backend, spec.id, ended)
    place.damage(bad.id)
    backend = place.backend()
    with pytest.raises(JobCorrupt):
        await backend.status(bad.id)
    with pytest.raises(JobCorrupt):
        await backend.result(bad.id)
    assert (await backend.status(good.id)).state is JobState.SUCCEEDED


async def test_what_was_asked_for_is_told_to_everybody(place: Place) -> None:
    spec = place.spec("true")
    await place.backend().submit(spec)
    told = await place.backend().spec(spec.id)
    assert (told.id, told.command, told.digest) == (spec.id, spec.command, spec.digest)
    await until(place.backend(), spec.id, ended)


async def test_jobs_are_listed_newest_first_up_to_a_limit(place: Place) -> None:
    specs = [place.spec("true") for _ in range(3)]
    for spec in specs:
        place.claim(spec)
    ids = tuple(spec.id for spec in reversed(specs))
    other = place.backend()
    assert (await other.job_ids(limit=3)) == ids
    assert (await other.job_ids(limit=1)) == ids[:1]
    assert (await other.job_ids(limit=0)) == ()
    assert (await other.job_ids(limit=1000))[:3] == ids
