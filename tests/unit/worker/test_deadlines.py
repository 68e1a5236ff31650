"""Jobs whose time is over: in the line of this machine, at their start in AWS, while they run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from tests.cloud_worker import SMALL, Cloud, a_cloud, result_of

LATE = (JobState.TIMED_OUT, CauseKind.DEADLINE)


@pytest.fixture
def cloud(open_path: Path) -> Iterator[Cloud]:
    probe = Bubblewrap().probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    with a_cloud(open_path) as found:
        yield found


def test_an_attempt_after_the_deadline_does_nothing_and_is_not_repeated(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "echo ran", created_at=1_000.0, deadline_at=2_000.0)
    code, lines, _ = cloud.run(job)
    result = result_of(job)
    assert (code, result.state, result.cause and result.cause.kind) == (0, *LATE)
    assert result.cause is not None
    assert result.cause.message.endswith("was over before a machine could start it.")
    assert result.cause.hint
    assert (result.exit_code, result.timings.restore_s) == (None, 0.0)
    assert not any("ran" in line for line in lines)


def test_a_run_is_ended_early_enough_to_keep_its_result(cloud: Cloud) -> None:
    now = time.time()
    job = cloud.job(
        {"a": ""}, "echo begun; touch made; sleep 60", created_at=now, deadline_at=now + 8
    )
    code, _, _ = cloud.run(job)
    result = result_of(job)
    assert (code, result.state, result.cause and result.cause.kind) == (0, *LATE)
    assert result.cause is not None
    assert result.cause.message == "The time for the whole job was over while it ran."
    assert result.cause.excerpt[-1] == "begun"
    assert result.patch is not None
    assert result.patch.paths == ("made",)
    assert result.timings.run_s < 8


def test_a_set_up_that_the_deadline_ends_is_told_as_that(cloud: Cloud) -> None:
    now = time.time()
    plan = SetupPlan(commands=("sleep 60",), key="k" * 64)
    job = cloud.job({"a": ""}, "true", setup=plan, created_at=now, deadline_at=now + 8)
    code, _, _ = cloud.run(job)
    result = result_of(job)
    assert (code, result.state, result.cause and result.cause.kind) == (0, *LATE)
    assert result.cause is not None
    assert "during set-up" in result.cause.message


def test_a_limit_of_its_own_that_ends_first_is_told_as_its_own(cloud: Cloud) -> None:
    now = time.time()
    limits = replace(SMALL, timeout_s=1)
    job = cloud.job({"a": ""}, "sleep 60", limits=limits, created_at=now, deadline_at=now + 99)
    assert cloud.run(job)[0] == 0
    result = result_of(job)
    assert result.cause is not None
    assert (result.state, result.cause.kind) == (JobState.TIMED_OUT, CauseKind.TIMEOUT)
