"""Whatever a place does not say, a job is started once, and in one place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.errors import BackendUnavailable
from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import load
from tests.account import Account, an_account
from tests.e2e.wire import a_repository

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
SMALL_WORKER = Path(__file__).parents[1] / "backends" / "aws_batch" / "small_worker.py"
DENIED = {"kind": "error", "code": "AccessDeniedException", "status": 403}
LOOKS = {"service": "batch", "action": "DescribeJobs"}


@pytest.fixture
def account() -> Iterator[Account]:
    with an_account((sys.executable, str(SMALL_WORKER)), pull_s=0.05) as account:
        yield account


async def test_a_first_look_that_fails_is_no_reason_to_start_the_job_on_this_machine(
    account: Account, open_path: Path
) -> None:
    made = a_repository(open_path)
    runner = runner_for(replace(load(made.env, cwd=str(made.path)), aws=account.aws))
    wish = Wish(kind=Kind.COMMAND, command="exit 0")
    request = Request(agent="run_in_sandbox", workspace=str(made.path), wish=wish, key=None)
    account.faults(api=[{**LOOKS, **DENIED}])
    with pytest.raises(BackendUnavailable, match="Looking at jobs"):
        await runner.submit(request)
    assert account.counts()["batch:SubmitJob"] == 1
    account.faults()
    (record,) = await runner.latest(workspace=None, limit=10)
    assert record.backend == "aws_batch"
    view = await runner.wait(record.spec.id, timeout_s=60)
    assert view.status.state is JobState.SUCCEEDED
    assert account.counts()["batch:SubmitJob"] == 1
