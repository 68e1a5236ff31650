"""What Batch says and what the worker wrote, as one status; all pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.backends.aws_batch.causes import CANCELLED_BY_US
from mcp_cloud_agents.backends.aws_batch.seen import Rank, Seen, newest, seen
from mcp_cloud_agents.backends.aws_batch.status import Known, needs_worker, status_of
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.job_objects import StoredState

ATTEMPT = {
    "container": {"exitCode": 1, "logStreamName": "job/default/a1"},
    "startedAt": 20_000,
    "stoppedAt": 30_000,
    "statusReason": "Your Spot Task was interrupted.",
}


def detail(status: str, **more: Any) -> dict[str, Any]:
    """A JobDetail as DescribeJobs has it, with fields that nobody here knows."""
    return {
        "jobId": "b-1",
        "jobQueue": "q",
        "status": status,
        "createdAt": 10_000,
        "retryStrategy": {"attempts": 3},
        "somethingNew": {"x": [1]},
        "container": {"image": "i", "networkInterfaces": []},
        **more,
    }


def a_seen(status: str, **more: Any) -> Seen:
    found = seen(detail(status, **more))
    assert found is not None
    return found


def stored(*states: JobState, attempt: int = 1, at: float = 21.0) -> StoredState:
    history = tuple((state, at + number) for number, state in enumerate(states))
    status = JobStatus(state=states[-1], history=history, log_bytes=7)
    return StoredState(status=status, attempt=attempt, heartbeat_at=at + 50)


def known(batch: Seen | None, **more: Any) -> Known:
    return Known(created_at=9.0, batch=batch, **more)


def test_a_whole_detail_is_read_and_unknown_fields_are_passed_over() -> None:
    container = {"logStreamName": "job/default/a2", "exitCode": 0, "reason": "r"}
    found = a_seen(
        "RUNNING", startedAt=40_000, attempts=[ATTEMPT], container=container, statusReason="s"
    )
    assert (found.batch_id, found.rank, found.queue) == ("b-1", Rank.RUNNING, "q")
    assert (found.created_at, found.started_at, found.most_attempts) == (10.0, 40.0, 3)
    assert found.streams == ("job/default/a1", "job/default/a2")
    assert found.attempts[0].stopped_at == 30.0


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"status": "NEW_STATE"},
        {"status": None},
    ],
)
def test_an_answer_without_a_known_state_says_nothing(odd: dict[str, Any]) -> None:
    assert seen(odd) is None


def test_fields_of_a_wrong_shape_count_as_absent() -> None:
    odd = detail("RUNNING", attempts="x", container=[], createdAt="y", retryStrategy=None, tags=3)
    found = seen(odd)
    assert found == Seen(batch_id="b-1", rank=Rank.RUNNING, queue="q")


def test_jobs_with_ecs_properties_are_read_as_well() -> None:
    inside = {"containers": [{"logStreamName": "s", "exitCode": 3}]}
    odd = detail("FAILED", container=None, ecsProperties={"taskProperties": [inside]})
    found = seen(odd)
    assert found is not None
    assert (found.log_stream, found.exit_code) == ("s", 3)


def test_whatever_the_order_of_news_the_newest_wins() -> None:
    news = [
        a_seen("RUNNABLE"),
        a_seen("RUNNING"),
        a_seen("RUNNABLE", attempts=[ATTEMPT]),
        a_seen("RUNNING", attempts=[ATTEMPT]),
        a_seen("SUCCEEDED", attempts=[ATTEMPT, ATTEMPT]),
    ]
    for order in permutations(news):
        last: Seen | None = None
        for one in order:
            last = newest(last, one)
        assert last == news[-1]


def test_an_attempt_under_way_in_the_list_is_not_counted_as_ended() -> None:
    running = {"container": {"logStreamName": "s"}, "startedAt": 20_000}
    assert a_seen("RUNNING", attempts=[running]).attempts == ()


def test_before_the_worker_speaks_batch_does() -> None:
    for name in ("SUBMITTED", "PENDING", "RUNNABLE"):
        assert status_of(known(a_seen(name)), now=50.0) == JobStatus(
            state=JobState.QUEUED, history=((JobState.QUEUED, 9.0),)
        )
    running = status_of(known(a_seen("RUNNING", startedAt=20_000)), now=50.0)
    assert running.history == ((JobState.QUEUED, 9.0), (JobState.STARTING, 20.0))


def test_the_worker_s_word_is_taken_for_its_own_attempt() -> None:
    told = stored(JobState.QUEUED, JobState.STARTING, JobState.RUNNING)
    status = status_of(known(a_seen("RUNNING"), stored=told), now=50.0)
    assert (status.state, status.log_bytes) == (JobState.RUNNING, 7)
    assert status.history[0] == (JobState.QUEUED, 9.0)


def test_the_word_of_a_lost_attempt_is_not_the_state_of_the_next() -> None:
    told = stored(JobState.QUEUED, JobState.STARTING, JobState.RUNNING)
    waits = a_seen("RUNNABLE", attempts=[ATTEMPT])
    status = status_of(known(waits, stored=told, waiting="It waits."), now=50.0)
    assert status.state is JobState.QUEUED
    assert status.waiting == (
        "Attempt 1 of 3 was lost (Your Spot Task was interrupted); the next one is due. It waits."
    )
    starts = a_seen("STARTING", attempts=[ATTEMPT])
    assert status_of(known(starts, stored=told), now=50.0).state is JobState.STARTING
    again = replace(told, attempt=2)
    assert status_of(known(starts, stored=again), now=50.0).state is JobState.RUNNING


def test_a_final_word_of_the_worker_counts_whatever_batch_says() -> None:
    told = stored(
        *(JobState.QUEUED, JobState.STARTING, JobState.RUNNING),
        *(JobState.COLLECTING, JobState.SUCCEEDED),
    )
    failed = a_seen("FAILED", statusReason="Host EC2 (instance i-1) terminated.")
    for batch in (failed, a_seen("RUNNING"), None):
        assert status_of(known(batch, stored=told), now=50.0).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("more", "state", "kind"),
    [
        ({"statusReason": "Job attempt duration exceeded timeout"}, "timed_out", "timeout"),
        ({"statusReason": "Dependent Job failed"}, "failed", "dependency"),
        (
            {"container": {"reason": "CannotPullContainerError: not found"}},
            "failed",
            "image_pull",
        ),
        (
            {"statusReason": "ResourceInitializationError: unable to pull secrets"},
            "failed",
            "resource_initialization",
        ),
        (
            {"container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}},
            "failed",
            "oom",
        ),
        ({"statusReason": "Your Spot Task was interrupted."}, "failed", "spot_reclaimed"),
        ({"statusReason": "Host EC2 (instance i-1) terminated."}, "failed", "host_lost"),
        (
            {"statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - x"},
            "failed",
            "not_placed",
        ),
        ({"statusReason": CANCELLED_BY_US, "isTerminated": True}, "cancelled", "cancelled"),
        ({"statusReason": "by a person", "isTerminated": True}, "cancelled", "cancelled"),
        (
            {
                "statusReason": "Essential container in task exited",
                "container": {"exitCode": 137},
            },
            "lost",
            "supervisor_died",
        ),
        ({}, "lost", "supervisor_died"),
    ],
)
def test_an_end_without_a_word_has_its_cause(more: dict[str, Any], state: str, kind: str) -> None:
    status = status_of(known(a_seen("FAILED", stoppedAt=60_000, **more)), now=99.0)
    assert status.cause is not None
    assert (str(status.state), str(status.cause.kind)) == (state, kind)
    assert status.history[-1] == (status.state, 60.0)
    assert status.cause.hint


def test_the_reason_of_the_last_attempt_counts_where_the_job_has_none() -> None:
    last = {**ATTEMPT, "container": {"reason": "CannotPullContainerError: x"}, "statusReason": ""}
    status = status_of(known(a_seen("FAILED", attempts=[last])), now=99.0)
    assert status.cause is not None
    assert status.cause.kind is CauseKind.IMAGE_PULL


def test_hostile_text_of_a_reason_is_made_harmless() -> None:
    evil = "\x1b[31mYour Spot Task\u202e" + "x" * 9_000
    status = status_of(known(a_seen("FAILED", statusReason=evil)), now=99.0)
    assert status.cause is not None
    assert "\x1b" not in status.cause.message
    assert len(status.cause.message) < 1_000


def test_a_job_that_batch_has_forgotten_is_lost_unless_it_just_began() -> None:
    told = stored(JobState.QUEUED, JobState.STARTING, JobState.RUNNING)
    lost = status_of(known(None, stored=told), now=999.0)
    assert lost.state is JobState.LOST
    assert lost.history[-1] == (JobState.LOST, told.heartbeat_at)
    assert status_of(known(None), now=60.0).state is JobState.QUEUED
    assert status_of(known(None), now=70.0).state is JobState.LOST
    assert status_of(known(None, cancel_asked=True), now=60.0).state is JobState.CANCELLED


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), st.floats(0, 1e6))
def test_times_never_go_back_whatever_the_clocks_say(times: list[float], created: float) -> None:
    states = (JobState.STARTING, JobState.RUNNING, JobState.COLLECTING)
    history = ((JobState.QUEUED, 0.0), *zip(states, times, strict=True))
    status = JobStatus(state=JobState.COLLECTING, history=history)
    told = StoredState(status=status, attempt=1, heartbeat_at=0.0)
    for batch in (a_seen("RUNNING"), a_seen("FAILED", stoppedAt=5_000), None):
        found = status_of(Known(created_at=created, batch=batch, stored=told), now=1.0)
        at = [when for _, when in found.history]
        assert at == sorted(at)


def test_the_worker_is_asked_only_when_it_may_have_spoken() -> None:
    assert [needs_worker(a_seen(name)) for name in ("RUNNABLE", "STARTING", "RUNNING")] == [
        *(False, False, True)
    ]
    assert needs_worker(a_seen("RUNNABLE", attempts=[ATTEMPT]))
    assert needs_worker(None)


def billed(found: Known) -> Any:
    status = status_of(found, now=99.0)
    return [(one.started_at, one.stopped_at) for one in status.attempts or ()]


def test_what_batch_saw_of_each_attempt_is_what_is_billed() -> None:
    ended = [ATTEMPT, {**ATTEMPT, "startedAt": 40_000, "stoppedAt": 45_000}]
    batch = a_seen("FAILED", attempts=ended)
    word = stored(JobState.QUEUED, JobState.STARTING, JobState.FAILED, attempt=2)
    assert billed(known(batch, stored=word)) == [(20.0, 30.0), (40.0, 45.0)]


def test_a_job_that_is_done_before_batch_knows_it_is_billed_until_its_task_ends() -> None:
    word = stored(JobState.QUEUED, JobState.STARTING, JobState.SUCCEEDED)
    assert billed(known(None, stored=word)) == [(21.0, 21.0 + 50 + 45)]
    running = a_seen("RUNNING", startedAt=15_000)
    assert billed(known(running, stored=word)) == [(15.0, 21.0 + 50 + 45)]


def test_an_earlier_attempt_that_nobody_saw_is_billed_in_full() -> None:
    word = stored(JobState.QUEUED, JobState.SUCCEEDED, attempt=2)
    assert billed(known(None, stored=word)) == [(None, None), (21.0, 116.0)]


def test_a_job_that_was_ended_while_it_was_pulled_is_billed_for_that() -> None:
    batch = a_seen("FAILED", stoppedAt=50_000, isTerminated=True)
    assert billed(known(batch, cancel_asked=True)) == [(50.0, 50.0)]


def test_nothing_is_billed_of_a_job_that_never_came_to_batch() -> None:
    cancelled = status_of(known(None, cancel_asked=True), now=10.0)
    never = status_of(known(None), now=100.0)
    assert (cancelled.attempts, never.attempts) == ((), None)


def test_a_status_stored_before_there_were_attempts_still_reads() -> None:
    import msgspec

    old = b'{"state":"succeeded","history":[["succeeded",1.0]],"cause":null,"log_bytes":3}'
    assert msgspec.json.decode(old, type=JobStatus).attempts is None
