"""A fix job where one command runs at a time and the sandbox moves what it shows (`uid_drop`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.fix import Budget, Engine, FixOrder, FixOutcome, StopReason
from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.storage.job_objects import JobObjects
from tests.cloud_worker import Cloud, a_cloud, result_of, whole_log
from tests.e2e.test_in_a_container import box, work
from tests.unit.worker.test_cloud_fix import FILES, FIX

__all__ = ["box"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def cloud(open_path: Path) -> Iterator[Cloud]:
    with a_cloud(open_path) as found:
        yield found


def a_fix(cloud: Cloud, edit: str, attempts: int = 1, **budget: int) -> JobObjects:
    order = FixOrder(
        goal="double it",
        engine=Engine.COMMAND,
        edit_command=edit,
        attempts=attempts,
        budget=Budget(usd_micros=0, **budget),
    )
    return cloud.job(
        FILES,
        "python3 -m unittest",
        kind=Kind.FIX,
        runner="unittest",
        fix=order,
        isolation=IsolationLevel.CONTAINER,
    )


def test_candidates_are_made_one_after_another_until_one_is_verified(
    cloud: Cloud, box: Path
) -> None:
    job = a_fix(cloud, f"test $CLOUD_AGENTS_CANDIDATE = 1 || {FIX}", attempts=3)
    code, said = work(cloud, box, job)
    assert code == 0, said
    result = result_of(job)
    assert result.fix is not None, (result.cause, said, whole_log(job))
    assert (result.state, result.fix.outcome) == (JobState.SUCCEEDED, FixOutcome.PATCH)
    assert result.isolation.driver == "uid_drop"
    assert [one.number for one in result.fix.candidates] == [1, 2]
    assert result.fix.chosen == 2


@pytest.mark.parametrize("ignores", ["", "trap '' TERM; "])
def test_a_candidate_that_is_ended_leaves_the_sandbox_usable(
    cloud: Cloud, box: Path, ignores: str
) -> None:
    job = a_fix(cloud, f"{ignores}{FIX}; sleep 600", wall_s=4)
    code, said = work(cloud, box, job)
    assert code == 0, said
    result = result_of(job)
    assert result.fix is not None, (result.cause, said, whole_log(job))
    [candidate] = result.fix.candidates
    assert candidate.stopped is StopReason.WALL_CLOCK
    assert candidate.evidence is not None
    assert candidate.evidence.label == "verified", (candidate, whole_log(job))


def test_a_fix_s_command_reads_the_environment_of_no_process_of_ours(
    cloud: Cloud, box: Path
) -> None:
    """Keys of models are in the container's environment, which the candidate's process has."""
    job = a_fix(cloud, f"cat /proc/*/environ | tr '\\0' '\\n'; echo looked; {FIX}")
    code, said = work(cloud, box, job)
    assert code == 0, said
    log = whole_log(job)
    assert "looked\n" in log
    assert "CLOUD_AGENTS_CANDIDATE=1\n" in log, "its own can be read"
    assert "s3cret" not in log
