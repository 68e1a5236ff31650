"""The contract of `ports/backend.py`, for every implementation."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.backends.local.follow import PollingWatch
from mcp_cloud_agents.bootstrap import runner_for
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.errors import (
    IsolationUnavailable,
    JobCorrupt,
    UnknownArtifact,
    UnknownJob,
)
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState, Kind
from mcp_cloud_agents.domain.result import CauseKind, JobResult
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Backend, Bytes
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.job_folder import JobFolder, StoredStatus
from tests.e2e.wire import a_repository

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
BEGUN = "begun\n"
SLOW = "echo begun; sleep 600"
HOSTILE = ("", ".", "..", "../jobs", "a/b", "a\0b", "j" * 300, "\u202e", "spec.json", "/etc/passwd")


@dataclass(frozen=True, slots=True)
class Place:
    """A place where jobs run, seen through a fresh backend as often as a test likes."""

    env: dict[str, str]
    cwd: str
    jobs: str

    def backend(self) -> LocalBackend:
        runner = runner_for(load(self.env, cwd=self.cwd))
        backend = runner._places.first.backend  # the composition root makes no backend without a runner
        assert isinstance(backend, LocalBackend)
        return backend

    def spec(self, command: str) -> JobSpec:
        """A job that was submitted nowhere yet."""
        packer = runner_for(load(self.env, cwd=self.cwd))._places.first.packer
        wish = Wish(kind=Kind.COMMAND, command=command)
        request = Request(agent="run_in_sandbox", workspace=self.cwd, wish=wish, key=None)
        return packer.pack(request, packer.locate(self.cwd))

    def claim(self, spec: JobSpec) -> JobFolder:
        """What a submit leaves that was killed before it started anything."""
        host = self.backend()._host
        return JobFolder.create(self.jobs, spec, host, shared=host.owner is not None)

    def supervisor(self, job_id: JobId) -> int:
        data = Path(self.jobs, job_id, "state.json").read_bytes()
        return msgspec.json.decode(data, type=StoredStatus).supervisor.pid


@pytest.fixture(params=["local"])
def place(request: pytest.FixtureRequest, open_path: Path) -> Place:
    assert request.param == "local"
    made = a_repository(open_path)
    return Place(env=made.env, cwd=str(made.path), jobs=str(open_path / "state" / "jobs"))


async def until(backend: Backend, job_id: JobId, told: Callable[[JobStatus], bool]) -> JobStatus:
    """The first status seen that `told` likes; enter first, look second."""
    with anyio.fail_after(60):
        async with backend.watch(job_id) as watch:
            while not told(status := await backend.status(job_id)):
                await watch.changed(timeout_s=1)
    return status


def ended(status: JobStatus) -> bool:
    return status.state.done


async def begun(backend: Backend, job_id: JobId) -> None:
    with anyio.fail_after(60):
        async with backend.watch(job_id) as watch:
            while BEGUN.encode() not in await log(backend, job_id):
                await watch.changed(timeout_s=1)


async def log(backend: Backend, job_id: JobId) -> bytes:
    return (await backend.log(job_id, offset=0, limit=1 << 20)).data


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
    assert os.listdir(place.jobs) == [spec.id]


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


async def test_a_killed_supervisor_is_told_as_lost_and_stays_so(place: Place) -> None:
    backend, spec = place.backend(), place.spec(SLOW)
    await backend.submit(spec)
    await begun(backend, spec.id)
    os.kill(place.supervisor(spec.id), signal.SIGKILL)
    lost = await until(backend, spec.id, ended)
    assert lost.cause is not None
    assert (lost.state, lost.cause.kind) == (JobState.LOST, CauseKind.SUPERVISOR_DIED)
    assert await backend.result(spec.id) is None
    await backend.submit(spec)
    await backend.cancel(spec.id)
    assert await place.backend().status(spec.id) == lost
    assert BEGUN.encode() in await log(backend, spec.id)


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


@pytest.mark.parametrize(
    "name", [*HOSTILE, "../spec.json", "..\\x", "patch.diff\n", "link", "dir", "pipe"]
)
async def test_no_name_of_an_artifact_leads_anywhere_else(place: Place, name: str) -> None:
    backend, spec = place.backend(), place.spec("true")
    folder = place.claim(spec)
    make_odd_artifacts(Path(folder.file("artifacts")))
    with pytest.raises(UnknownArtifact):
        await backend.artifact(spec.id, name, offset=0, limit=9)


def make_odd_artifacts(artifacts: Path) -> None:
    artifacts.mkdir()
    (artifacts / "link").symlink_to("../spec.json")
    (artifacts / "dir").mkdir()
    os.mkfifo(artifacts / "pipe")


@pytest.mark.parametrize("job_id", [*HOSTILE, "jnothing"])
async def test_an_id_that_names_no_job_is_unknown_to_every_method(
    place: Place, job_id: str
) -> None:
    backend, job = place.backend(), JobId(job_id)
    calls: tuple[Callable[[], Any], ...] = (
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


async def test_a_watch_without_inotify_hears_the_same(place: Place) -> None:
    backend, spec = place.backend(), place.spec(SLOW)
    watch = PollingWatch(place.claim(spec).path)
    assert await watch.changed(timeout_s=0.12) is False
    await backend.submit(spec)
    assert await watch.changed(timeout_s=30) is True
    await backend.cancel(spec.id)
    await until(backend, spec.id, ended)


async def test_a_damaged_job_is_told_and_no_other_suffers(place: Place) -> None:
    backend, bad, good = place.backend(), place.spec("true"), place.spec("true")
    for spec in (bad, good):
        await backend.submit(spec)
        await until(backend, spec.id, ended)
    damage(Path(place.jobs, bad.id))
    with pytest.raises(JobCorrupt):
        await backend.status(bad.id)
    with pytest.raises(JobCorrupt):
        await backend.result(bad.id)
    assert (await backend.status(good.id)).state is JobState.SUCCEEDED


def damage(folder: Path) -> None:
    for name in ("state.json", "result.json"):
        (folder / name).write_bytes(b'{"status": 1')


async def test_without_the_isolation_asked_for_nothing_is_stored(place: Place) -> None:
    spec = place.spec("true")
    probe = Probe(
        level=IsolationLevel.SOFT, driver="none", works=False, problem="no bwrap", remedy="get it"
    )
    backend = LocalBackend(place.jobs, place.backend()._host, lambda: probe)
    with pytest.raises(IsolationUnavailable) as caught:
        await backend.submit(spec)
    assert ("no bwrap" in caught.value.message, caught.value.hint) == (True, "get it")
    with pytest.raises(UnknownJob):
        await backend.status(spec.id)
    assert await backend.probe() == probe
