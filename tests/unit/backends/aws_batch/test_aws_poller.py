"""How often Batch is asked, and for how many jobs at once; against botocore's own Stubber."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from mcp_cloud_agents.backends.aws_batch.clients import Clients, Use
from mcp_cloud_agents.backends.aws_batch.poller import Poller
from mcp_cloud_agents.backends.aws_batch.seen import Rank
from mcp_cloud_agents.domain.errors import CloudDenied, CloudThrottled
from mcp_cloud_agents.domain.job import JobId
from tests.unit.backends.aws_batch.aws_settings import AWS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]
stub = pytest.importorskip("botocore.stub", reason="boto3 is not installed")


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> tuple[Clients, Any]:
    """Clients whose reads of Batch are stubbed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    clients = Clients(AWS)
    stubber = stub.Stubber(clients.client("batch", Use.READ))
    stubber.activate()
    return clients, stubber


def a_detail(batch_id: str, status: str, **more: Any) -> dict[str, Any]:
    needed = {"jobName": "n", "jobQueue": "q", "startedAt": 1, "jobDefinition": "d"}
    return {**needed, "jobId": batch_id, "status": status, **more}


async def test_one_call_asks_for_a_hundred_and_the_others_find_their_answer(
    batch: tuple[Clients, Any],
) -> None:
    clients, stubber = batch
    poller = Poller(clients)
    jobs = [poller.track(JobId(f"j{n}"), f"b-{n}") for n in range(150)]
    ids = [f"b-{n}" for n in range(100)]
    answer = {"jobs": [a_detail(one, "RUNNING") for one in ids]}
    stubber.add_response("describe_jobs", answer, {"jobs": ids})
    seen = [await poller.fresh(job) for job in jobs[:100]]
    assert {one.rank for one in seen if one} == {Rank.RUNNING}
    stubber.assert_no_pending_responses()
    assert await poller.fresh(jobs[100]) is None  # so many jobs: not so soon again
    assert (jobs[100].missing, poller.due_in(jobs[100]) > 0) == (0, True)
    poller._next_call_at = float("-inf")
    rest = [f"b-{n}" for n in range(100, 150)]
    asked = {"jobs": [*rest, *ids[:50]]}
    stubber.add_response("describe_jobs", {"jobs": []}, asked)
    assert await poller.fresh(jobs[100]) is None
    assert jobs[100].missing == 1


async def test_older_news_never_replaces_newer(batch: tuple[Clients, Any]) -> None:
    clients, stubber = batch
    poller = Poller(clients)
    job = poller.track(JobId("j1"), "b-1")
    for status in ("RUNNING", "RUNNABLE"):
        stubber.add_response("describe_jobs", {"jobs": [a_detail("b-1", status)]})
        job.looked_at = float("-inf")
        await poller.fresh(job)
    assert job.last is not None
    assert (job.last.rank, job.version) == (Rank.RUNNING, 1)


async def test_a_job_that_has_ended_is_not_asked_for_again(batch: tuple[Clients, Any]) -> None:
    clients, stubber = batch
    poller = Poller(clients)
    job = poller.track(JobId("j1"), "b-1")
    stubber.add_response("describe_jobs", {"jobs": [a_detail("b-1", "FAILED")]})
    await poller.fresh(job)
    assert poller.due_in(job) == float("inf")
    await poller.fresh(job)


async def test_the_period_follows_the_interest_and_the_number_of_jobs(
    batch: tuple[Clients, Any],
) -> None:
    clients, _ = batch
    poller = Poller(clients)
    job = poller.track(JobId("j1"), "b-1")
    now = anyio.current_time()
    stubber = batch[1]
    stubber.add_response("describe_jobs", {"jobs": [a_detail("b-1", "RUNNABLE")]})
    await poller.fresh(job)
    job.looked_at, job.since = now, now - 100

    def period() -> int:
        return round(poller.due_in(job) + anyio.current_time() - now)

    assert period() == 10
    job.watchers = 1
    assert period() == 2
    job.since = now
    assert period() == 1
    for number in range(2, 1_001):
        poller.track(JobId(f"j{number}"), f"b-{number}")
    assert period() == 10
    job.watchers, poller.events = 0, True
    assert period() == 60


async def test_throttling_is_waited_out_with_what_is_known(batch: tuple[Clients, Any]) -> None:
    clients, stubber = batch
    poller = Poller(clients)
    job = poller.track(JobId("j1"), "b-1")
    stubber.add_client_error("describe_jobs", "TooManyRequestsException", http_status_code=400)
    with pytest.raises(CloudThrottled):
        await poller.fresh(job)
    assert 0.5 < poller.due_in(job) <= 1
    stubber.add_response("describe_jobs", {"jobs": [a_detail("b-1", "RUNNING")]})
    poller._not_before = float("-inf")
    assert await poller.fresh(job) is not None
    stubber.add_client_error("describe_jobs", "TooManyRequestsException", http_status_code=400)
    job.looked_at = anyio.current_time() - 30
    assert await poller.fresh(job) == job.last


async def test_a_missing_permission_is_not_waited_out(batch: tuple[Clients, Any]) -> None:
    clients, stubber = batch
    poller = Poller(clients)
    job = poller.track(JobId("j1"), "b-1")
    stubber.add_client_error("describe_jobs", "AccessDeniedException", http_status_code=403)
    with pytest.raises(CloudDenied):
        await poller.fresh(job)


async def test_an_event_makes_a_job_due_and_tells_foreign_ones(batch: tuple[Clients, Any]) -> None:
    clients, stubber = batch
    poller = Poller(clients)
    job = poller.track(JobId("j1"), "b-1")
    stubber.add_response("describe_jobs", {"jobs": [a_detail("b-1", "RUNNING")]})
    await poller.fresh(job)
    version = job.version
    assert poller.told(["b-1", "b-9"]) == {"b-9"}
    assert poller.due_in(job) <= 0
    assert job.version > version
