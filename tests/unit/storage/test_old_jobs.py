from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder, this_supervisor
from mcp_cloud_agents.storage.old_jobs import remove_old_jobs
from mcp_cloud_agents.storage.queue import Ticket

SpecFactory = Callable[..., JobSpec]
Make = Callable[..., JobFolder]
HOST = HostPlan(state="/s", uv="/uv", concurrent_jobs=2, keep_days=1, keep_gib=1, owner=None)
DAY_S = 86_400.0
NOW = 100 * DAY_S


@pytest.fixture
def make(tmp_path: Path, a_spec: SpecFactory) -> Make:
    def made(name: str, *, age_days: float, state: JobState = JobState.SUCCEEDED) -> JobFolder:
        at = NOW - age_days * DAY_S
        spec = a_spec(id=JobId(name), created_at=at)
        folder = JobFolder.create(str(tmp_path), spec, HOST, shared=False)
        history = ((JobState.QUEUED, at), (state, at))
        folder.write_status(JobStatus(state=state, history=history), this_supervisor())
        for path in (folder.file("state.json"), folder.path):
            touch(path, at)
        return folder

    return made


def touch(path: str | Path, at: float) -> None:
    os.utime(path, (at, at))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_only_jobs_past_their_age_go(tmp_path: Path, make: Make) -> None:
    make("jold", age_days=31)
    make("jnew", age_days=29)
    assert remove_old_jobs(str(tmp_path), keep_days=30, keep_gib=9, now=NOW) == ("jold",)
    assert names(tmp_path) == ["jnew"]


def test_beyond_the_size_the_oldest_go_first(tmp_path: Path, make: Make) -> None:
    for number in (3, 2, 1):
        folder = make(f"j{number}", age_days=number)
        Path(folder.file("log")).write_bytes(os.urandom(600_000))
        touch(folder.path, NOW - number * DAY_S)
    removed = remove_old_jobs(str(tmp_path), keep_days=99, keep_gib=1.5e6 / (1 << 30), now=NOW)
    assert removed == ("j3",)


def test_a_job_that_runs_stays_however_old(tmp_path: Path, make: Make) -> None:
    folder = make("jruns", age_days=400, state=JobState.RUNNING)
    held = Ticket._take(folder.file("lock"))
    touch(folder.path, 0)
    assert remove_old_jobs(str(tmp_path), keep_days=1, keep_gib=0, now=NOW) == ()
    os.close(held)


def test_what_a_cut_off_creation_left_goes_after_a_day(tmp_path: Path) -> None:
    for name, age_days in (".jold.1", 2), (".jnew.2", 0.5):
        (tmp_path / name).mkdir()
        touch(tmp_path / name, NOW - age_days * DAY_S)
    remove_old_jobs(str(tmp_path), keep_days=1, keep_gib=1, now=NOW)
    assert names(tmp_path) == [".jnew.2"]
