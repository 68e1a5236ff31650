"""Jobs of this machine whose whole time is over: in the line, in set-up, while they run."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.delegation.observe import observe
from mcp_cloud_agents.domain.fix import StopReason
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.result import CauseKind, JobResult
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.queue import Ticket
from mcp_cloud_agents.storage.state_folder import StateFolder
from tests.contracts.places import Local
from tests.e2e.fix_jobs import Bench, fill
from tests.e2e.wire import Repository, a_repository

pytestmark = pytest.mark.timeout(120)
WITHIN_S = 60.0


@pytest.fixture
def place(open_path: Path) -> Local:
    made: Repository = a_repository(open_path)
    env = {**made.env, "MCP_CLOUD_AGENTS_CONCURRENT_JOBS": "1"}
    state = env["MCP_CLOUD_AGENTS_STATE_DIR"]
    return Local(env, str(made.path), os.path.join(state, "jobs"))


def with_time(place: Local, command: str, seconds: float, **changes: Any) -> JobSpec:
    """A job that was made just now and has so many seconds in all."""
    now = time.time()
    return replace(place.spec(command), created_at=now, deadline_at=now + seconds, **changes)


def ended(place: Local, spec: JobSpec) -> JobResult:
    async def through() -> JobResult | None:
        backend = place.backend()
        await backend.submit(spec)
        await observe(backend, spec.id, timeout_s=WITHIN_S, on_change=nobody)
        return await backend.result(spec.id)

    result = anyio.run(through)
    assert result is not None
    return result


async def nobody(_: JobStatus) -> None:
    """Nobody listens."""


def told(result: JobResult) -> tuple[JobState, CauseKind, str]:
    assert result.cause is not None
    assert result.cause.hint
    return result.state, result.cause.kind, result.cause.message


def test_a_job_whose_time_passes_in_the_line_never_starts(place: Local) -> None:
    spec = with_time(place, "touch made", 1.0)
    ahead = Ticket(StateFolder(os.path.dirname(place.jobs)).queue, "another")
    try:
        result = ended(place, spec)
    finally:
        ahead.give_back()
    assert told(result) == (
        JobState.TIMED_OUT,
        CauseKind.DEADLINE,
        "The time for the whole job was over before it could start, as others were ahead of it.",
    )
    assert (result.exit_code, result.patch, result.timings.restore_s) == (None, None, 0.0)


@pytest.mark.slow
def test_a_run_is_ended_early_enough_to_keep_what_it_did(place: Local) -> None:
    result = ended(place, with_time(place, "echo begun; touch made; sleep 60", 8.0))
    why = "The time for the whole job was over while it ran."
    assert told(result) == (JobState.TIMED_OUT, CauseKind.DEADLINE, why)
    assert result.cause is not None
    assert result.cause.excerpt[-1:] == ("begun",)
    assert result.patch is not None
    assert result.patch.paths == ("made",)


def test_a_set_up_leaves_the_run_its_half_and_is_told_as_late(place: Local) -> None:
    plan = SetupPlan(commands=("sleep 60",), key="0" * 64)
    result = ended(place, with_time(place, "true", 8.0, setup=plan))
    why = "The time for the whole job was over during set-up."
    assert told(result) == (JobState.TIMED_OUT, CauseKind.DEADLINE, why)
    assert result.timings.setup_s < 4


def test_a_limit_of_its_own_that_comes_first_is_told_as_its_own(place: Local) -> None:
    spec = with_time(place, "sleep 60", 300.0)
    result = ended(place, replace(spec, limits=replace(spec.limits, timeout_s=1)))
    assert told(result)[:2] == (JobState.TIMED_OUT, CauseKind.TIMEOUT)


@pytest.mark.slow
def test_a_candidate_is_ended_in_time_for_the_report_of_its_fix(place: Local) -> None:
    repository = Repository(path=Path(place.cwd), env=place.env)
    fill(repository)
    now = time.time()
    spec = replace(Bench(repository).spec("sleep 60"), created_at=now, deadline_at=now + 12)
    result = ended(place, spec)
    assert result.fix is not None
    assert [one.stopped for one in result.fix.candidates] == [StopReason.WALL_CLOCK]
    assert result.timings.run_s < 12
