"""What the contract of `ports/backend.py` means for jobs that are processes of this machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.backends.local.follow import PollingWatch
from mcp_cloud_agents.domain.errors import IsolationUnavailable, UnknownArtifact, UnknownJob
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
from mcp_cloud_agents.storage.job_folder import StoredStatus
from tests.contracts.places import BEGUN, SLOW, Local, begun, ended, log, until
from tests.e2e.wire import a_repository

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
def place(open_path: Path) -> Local:
    made = a_repository(open_path)
    return Local(made.env, str(made.path), str(open_path / "state" / "jobs"))


def supervisor(place: Local, job_id: JobId) -> int:
    data = Path(place.jobs, job_id, "state.json").read_bytes()
    return msgspec.json.decode(data, type=StoredStatus).supervisor.pid


def make_odd_artifacts(artifacts: Path) -> None:
    artifacts.mkdir()
    (artifacts / "link").symlink_to("../spec.json")
    (artifacts / "dir").mkdir()
    os.mkfifo(artifacts / "pipe")


@pytest.mark.parametrize("name", ["link", "dir", "pipe"])
async def test_what_is_no_plain_file_is_no_artifact(place: Local, name: str) -> None:
    backend, spec = place.backend(), place.spec("true")
    make_odd_artifacts(Path(place.folder(spec).file("artifacts")))
    with pytest.raises(UnknownArtifact):
        await backend.artifact(spec.id, name, offset=0, limit=9)


async def test_a_killed_supervisor_is_told_as_lost_and_stays_so(place: Local) -> None:
    backend, spec = place.backend(), place.spec(SLOW)
    await backend.submit(spec)
    await begun(backend, spec.id)
    os.kill(supervisor(place, spec.id), signal.SIGKILL)
    lost = await until(backend, spec.id, ended)
    assert lost.cause is not None
    assert (lost.state, lost.cause.kind) == (JobState.LOST, CauseKind.SUPERVISOR_DIED)
    assert await backend.result(spec.id) is None
    await backend.submit(spec)
    await backend.cancel(spec.id)
    assert await place.backend().status(spec.id) == lost
    assert BEGUN.encode() in await log(backend, spec.id)


async def test_a_watch_without_inotify_hears_the_same(place: Local) -> None:
    backend, spec = place.backend(), place.spec(SLOW)
    watch = PollingWatch(place.folder(spec).path)
    assert await watch.changed(timeout_s=0.12) is False
    await backend.submit(spec)
    assert await watch.changed(timeout_s=30) is True
    await backend.cancel(spec.id)
    await until(backend, spec.id, ended)


async def test_without_the_isolation_asked_for_nothing_is_stored(place: Local) -> None:
    spec = place.spec("true")
    probe = Probe(
        level=IsolationLevel.SOFT, driver="none", works=False, problem="no bwrap", remedy="get it"
    )
    backend = LocalBackend(place.jobs, place.local()._host, lambda: probe)
    with pytest.raises(IsolationUnavailable) as caught:
        await backend.submit(spec)
    assert ("no bwrap" in caught.value.message, caught.value.hint) == (True, "get it")
    with pytest.raises(UnknownJob):
        await backend.status(spec.id)
    assert await backend.probe() == probe
