"""A fix job that is cancelled, or whose supervisor is killed: what is kept, and what is left."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import anyio
import msgspec
import pytest

from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.sandbox.processes import descendants
from mcp_cloud_agents.storage.job_folder import StoredStatus
from tests.e2e.fix_jobs import FIX, Bench, fill
from tests.e2e.wire import a_repository

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
SLOW = f"{FIX}; echo begun; sleep 600"


@pytest.fixture
def bench(open_path: Path) -> Bench:
    repository = a_repository(open_path)
    fill(repository)
    return Bench(repository)


async def begun(bench: Bench, spec: JobSpec, times: int = 1) -> None:
    """Wait until so many candidates work."""
    await bench.backend.submit(spec)
    with anyio.fail_after(90):
        async with bench.backend.watch(spec.id) as watch:
            while (await log(bench, spec)).count(b"begun\n") < times:
                await watch.changed(timeout_s=1)


async def log(bench: Bench, spec: JobSpec) -> bytes:
    return (await bench.backend.log(spec.id, offset=0, limit=1 << 20)).data


def job_folder(bench: Bench, spec: JobSpec) -> Path:
    return Path(bench.repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "jobs", spec.id)


def supervisor(bench: Bench, spec: JobSpec) -> int:
    data = (job_folder(bench, spec) / "state.json").read_bytes()
    return msgspec.json.decode(data, type=StoredStatus).supervisor.pid


def is_candidate(pid: int) -> bool:
    return b"worker.fix.candidate" in Path(f"/proc/{pid}/cmdline").read_bytes()


def holds(pids: tuple[int, ...]) -> list[int]:
    """Descriptors that tell the end of each process."""
    return [os.pidfd_open(pid) for pid in pids]


def all_ended(held: list[int]) -> bool:
    """Whether each ends within 20 s."""
    try:
        return all(select.select([one], [], [], 20)[0] for one in held)
    finally:
        for one in held:
            os.close(one)


async def test_a_cancelled_job_ends_soon_and_keeps_what_was_changed(bench: Bench) -> None:
    spec = bench.spec(SLOW)
    await begun(bench, spec)
    held = holds(descendants(supervisor(bench, spec)))
    await bench.backend.cancel(spec.id)
    done = await bench.done(spec)
    assert done.status.state is JobState.CANCELLED
    assert (done.told["outcome"], done.told["chosen"]) == ("no_patch", None)
    assert done.candidate["stopped"] == "cancelled"
    assert done.evidence["label"] == "unverified"
    assert "+    return number * 2" in await done.artifact("candidate-1.diff")
    assert held
    assert all_ended(held)


async def test_several_candidates_end_together_with_a_cancel(bench: Bench) -> None:
    spec = bench.spec(SLOW, attempts=2)
    await begun(bench, spec, times=2)
    held = holds(descendants(supervisor(bench, spec)))
    await bench.backend.cancel(spec.id)
    done = await bench.done(spec)
    assert [one["stopped"] for one in done.told["candidates"]] == ["cancelled", "cancelled"]
    assert all_ended(held)


async def test_nothing_outlives_a_supervisor_that_was_killed(bench: Bench) -> None:
    spec = bench.spec(SLOW, attempts=2)
    await begun(bench, spec, times=2)
    pid = supervisor(bench, spec)
    held = holds(descendants(pid))
    assert len(held) >= 4
    os.kill(pid, signal.SIGKILL)
    done = await bench.done(spec)
    assert done.status.cause is not None
    assert (done.status.state, done.status.cause.kind) == (
        JobState.LOST,
        CauseKind.SUPERVISOR_DIED,
    )
    assert all_ended(held)


async def test_a_candidate_whose_process_dies_is_told_so_and_still_judged(bench: Bench) -> None:
    spec = bench.spec(SLOW)
    await begun(bench, spec)
    [candidate] = filter(is_candidate, descendants(supervisor(bench, spec)))
    os.kill(candidate, signal.SIGKILL)
    done = await bench.done(spec)
    assert done.candidate["stopped"] == "died"
    assert done.candidate["message"] == "Its process ended with -9: it said nothing"
    assert done.evidence["label"] == "verified"


@pytest.mark.slow
async def test_a_candidate_is_ended_before_the_job_s_deadline_and_its_change_kept(
    bench: Bench,
) -> None:
    spec = bench.spec(SLOW, limits=Limits(timeout_s=20))
    done = await bench.run(spec)
    assert done.candidate["stopped"] == "wall_clock"
    assert done.candidate["files"] == 1
    assert done.status.state in (JobState.SUCCEEDED, JobState.TIMED_OUT)


async def test_of_a_finished_fix_only_what_was_kept_is_left(bench: Bench) -> None:
    spec = bench.spec(FIX)
    await bench.backend.submit(spec)
    held = holds((supervisor(bench, spec),))
    done = await bench.done(spec)
    assert done.status.state is JobState.SUCCEEDED
    assert all_ended(held)  # it clears up after its last word
    assert not list(job_folder(bench, spec).glob("fix"))
