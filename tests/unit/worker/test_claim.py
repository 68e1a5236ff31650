"""Two submits of one job at the same moment: one supervisor, and both are told of the job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.local.spawn import spawn
from mcp_cloud_agents.domain.handed import Handed
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder, this_supervisor
from mcp_cloud_agents.storage.queue import Ticket

SpecFactory = Callable[..., JobSpec]
HOST = HostPlan(state="/s", uv="/uv", concurrent_jobs=2, keep_days=30, keep_gib=10, owner=None)
QUEUED = JobStatus(state=JobState.QUEUED, history=((JobState.QUEUED, 1.0),))
LONGER_THAN_A_READER_S = 1.5


@pytest.fixture
def folder(tmp_path: Path, a_spec: SpecFactory) -> JobFolder:
    spec = a_spec(created_at=time.time())
    return JobFolder.create(str(tmp_path), spec, HOST, shared=False)


def test_a_second_supervisor_waits_for_the_first_state_of_the_first(folder: JobFolder) -> None:
    held = Ticket._take(folder.file("lock"))  # the first, slow on a loaded machine
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(spawn, folder, Handed())
        with pytest.raises(TimeoutError):
            second.result(LONGER_THAN_A_READER_S)
        folder.write_status(QUEUED, this_supervisor())
        second.result(20)  # told that the job is there: the lock is still held
    os.close(held)


def test_a_second_supervisor_takes_over_from_a_first_that_died(folder: JobFolder) -> None:
    held = Ticket._take(folder.file("lock"))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(spawn, folder, Handed())
        with pytest.raises(TimeoutError):
            second.result(LONGER_THAN_A_READER_S)
        os.close(held)
        second.result(20)
    assert len(folder.status().history) >= 1
    assert Path(folder.file("state.json")).exists()
