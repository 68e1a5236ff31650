from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.result import CauseKind, Progress
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder, all_specs, this_supervisor

SpecFactory = Callable[..., JobSpec]
HOST = HostPlan(state="/s", uv="/uv", concurrent_jobs=2, keep_days=30, keep_gib=10, owner=None)
RUNNING = JobStatus(
    state=JobState.RUNNING, history=((JobState.QUEUED, 1.0), (JobState.RUNNING, 2.0))
)


@pytest.fixture
def folder(tmp_path: Path, a_spec: SpecFactory) -> JobFolder:
    spec = a_spec(created_at=time.time())
    return JobFolder.create(str(tmp_path), spec, HOST, shared=False)


def held(folder: JobFolder) -> int:
    fd = os.open(folder.file("lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def test_what_was_asked_for_is_read_back_whole(folder: JobFolder, a_spec: SpecFactory) -> None:
    assert folder.host() == HOST
    assert folder.spec() == a_spec(created_at=folder.spec().created_at)


def test_creating_a_job_twice_keeps_the_first(folder: JobFolder, a_spec: SpecFactory) -> None:
    other = a_spec(command="other")
    again = JobFolder.create(os.path.dirname(folder.path), other, HOST, shared=False)
    assert again.spec().command == "pytest -q"


def test_a_job_whose_supervisor_is_coming_up_is_queued(folder: JobFolder) -> None:
    assert folder.status().state is JobState.QUEUED


def test_a_job_that_never_came_up_is_told_as_lost(folder: JobFolder, a_spec: SpecFactory) -> None:
    old = a_spec(created_at=time.time() - 3600)
    Path(folder.file("spec.json")).write_bytes(msgspec.json.encode(old))
    status = folder.status()
    assert status.state is JobState.LOST
    assert status.cause is not None
    assert status.cause.kind is CauseKind.SUPERVISOR_DIED


def test_a_held_lock_means_the_job_lives(folder: JobFolder) -> None:
    folder.write_status(RUNNING, this_supervisor())
    folder.write_progress(Progress(done=3, failed=1))
    fd = held(folder)
    status = folder.status()
    os.close(fd)
    assert (status.state, status.progress) == (JobState.RUNNING, Progress(done=3, failed=1))


def test_a_free_lock_and_no_end_means_the_supervisor_died(folder: JobFolder) -> None:
    folder.write_status(RUNNING, this_supervisor())
    os.close(held(folder))
    status = folder.status()
    assert status.cause is not None
    assert (status.state, status.cause.kind) == (JobState.LOST, CauseKind.SUPERVISOR_DIED)


def test_another_boot_is_told_as_a_reboot(folder: JobFolder) -> None:
    folder.write_status(RUNNING, replace(this_supervisor(), boot_id="of last week"))
    os.close(held(folder))
    status = folder.status()
    assert status.cause is not None
    assert (status.state, status.cause.kind) == (JobState.LOST, CauseKind.REBOOT)


def test_two_readers_do_not_take_each_other_for_a_supervisor(folder: JobFolder) -> None:
    folder.write_status(RUNNING, this_supervisor())
    reader = os.open(folder.file("lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(reader, fcntl.LOCK_SH)
    assert folder.status().state is JobState.LOST
    os.close(reader)


@pytest.mark.parametrize("content", [b"", b"{", b'{"status": 3}', b"\xff\x00"])
def test_a_damaged_state_is_told_with_where_it_is(folder: JobFolder, content: bytes) -> None:
    Path(folder.file("state.json")).write_bytes(content)
    with pytest.raises(JobCorrupt) as caught:
        folder.status()
    assert folder.path in caught.value.hint


def test_a_missing_folder_is_an_unknown_job(tmp_path: Path) -> None:
    with pytest.raises(UnknownJob):
        JobFolder(str(tmp_path / "jnone")).spec()


def test_damaged_folders_do_not_hide_the_others(folder: JobFolder, tmp_path: Path) -> None:
    (tmp_path / "jbroken").mkdir()
    damaged: list[str] = []
    assert all_specs(str(tmp_path), on_damage=damaged.append) == (folder.spec(),)
    assert len(damaged) == 1
