"""The contract of `ports/pricing.py`, for this machine and for an account in AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.backends.aws_batch.pricing import AwsPricing
from mcp_cloud_agents.backends.aws_batch.rates import END_S
from mcp_cloud_agents.backends.aws_batch.request import attempt_s
from mcp_cloud_agents.backends.local.pricing import LocalPricing
from mcp_cloud_agents.domain.fix import (
    Budget,
    Engine,
    FixOrder,
    FixOutcome,
    FixReport,
    ModelRoute,
    Provider,
    Reproduction,
    Spent,
)
from mcp_cloud_agents.domain.job import JobSpec, JobState, Kind
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Limits, Network
from mcp_cloud_agents.domain.status import Attempt, JobStatus
from mcp_cloud_agents.settings import Architecture, AwsQueue
from tests.unit.backends.aws_batch.aws_settings import some_aws
from tests.unit.conftest import SPEC

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.pricing import Pricing

NOWHERE = "/nowhere/config.toml"
Make = Callable[[int], "Pricing"]


def in_aws(attempts: int, **changes: object) -> AwsPricing:
    return AwsPricing(some_aws(attempts=attempts, **changes), NOWHERE)


PLACES: dict[str, Make] = {
    "local": lambda _: LocalPricing(),
    "fargate": in_aws,
    "spot": lambda attempts: in_aws(attempts, queue=AwsQueue.FARGATE_SPOT),
    "arm": lambda attempts: in_aws(attempts, architecture=Architecture.ARM64, vcpus=0.25),
}
every_place = pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)

limits = st.builds(
    Limits,
    timeout_s=st.integers(1, 86_400),
    memory_mib=st.integers(64, 100_000),
    log_bytes=st.integers(1, 1 << 30),
)
caps = st.one_of(st.none(), st.integers(0, 10**9))


def a_job(limits: Limits, cap_micros: int | None) -> JobSpec:
    """A fix whose models may cost so much; None: plain tests."""
    if cap_micros is None:
        return replace(SPEC, limits=limits)
    order = FixOrder(
        goal="g",
        engine=Engine.MODEL,
        models=(ModelRoute(provider=Provider.ANTHROPIC, model="m"),),
        budget=Budget(usd_micros=cap_micros),
    )
    return replace(SPEC, limits=limits, kind=Kind.FIX, fix=order)


def an_end(state: JobState = JobState.SUCCEEDED, **changes: object) -> JobStatus:
    before = [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.COLLECTING]
    history = tuple((one, 10.0 + number) for number, one in enumerate((*before, state)))
    return replace(JobStatus(state=state, history=history), **changes)


def a_result(spent_micros: int) -> JobResult:
    return JobResult(
        job_id=SPEC.id,
        spec_digest=SPEC.digest,
        state=JobState.SUCCEEDED,
        exit_code=0,
        isolation=IsolationRecord(level=IsolationLevel.FULL, driver="d", run_network=Network.NONE),
        fix=FixReport(
            outcome=FixOutcome.NO_PATCH,
            summary="s",
            reproduction=Reproduction(),
            spent=Spent(usd_micros=spent_micros),
        ),
    )


@every_place
@given(limits=limits, cap=caps, attempts=st.integers(1, 10), data=st.data())
def test_no_job_within_its_limits_costs_more_than_the_worst(
    make: Make, limits: Limits, cap: int | None, attempts: int, data: st.DataObject
) -> None:
    pricing, spec = make(attempts), a_job(limits, cap)
    longest = attempt_s(spec) + END_S
    known = st.floats(0, longest).map(lambda s: Attempt(started_at=1e9, stopped_at=1e9 + s))
    ran = data.draw(st.lists(st.one_of(known, st.just(Attempt())), max_size=attempts))
    status = an_end(attempts=tuple(ran), log_bytes=data.draw(st.integers(0, limits.log_bytes)))
    spent = data.draw(st.integers(0, cap or 0))
    actual = pricing.actual_micros(spec, status, a_result(spent))
    estimate = pricing.estimate(spec)
    assert actual is not None
    assert 0 <= actual <= estimate.worst_micros
    assert 0 <= estimate.expected_micros <= estimate.worst_micros


@every_place
@given(limits=limits, cap=caps, attempts=st.integers(1, 9), more=st.integers(1, 10_000))
def test_more_of_anything_never_costs_less(
    make: Make, limits: Limits, cap: int | None, attempts: int, more: int
) -> None:
    def worst(changed: Limits = limits, attempts: int = attempts) -> int:
        return make(attempts).estimate(a_job(changed, cap)).worst_micros

    least = worst()
    assert least <= worst(replace(limits, timeout_s=limits.timeout_s + more))
    assert least <= worst(replace(limits, memory_mib=limits.memory_mib + more))
    assert least <= worst(replace(limits, log_bytes=limits.log_bytes + more))
    assert least <= worst(attempts=attempts + 1)


@every_place
def test_an_estimate_is_the_same_each_time_and_its_parts_add_up(make: Make) -> None:
    spec = a_job(Limits(), 500_000)
    estimate = make(3).estimate(spec)
    assert estimate == make(3).estimate(spec)
    assert sum(micros for _, micros in estimate.parts) == estimate.worst_micros
    assert all(type(micros) is int for _, micros in estimate.parts)


@every_place
def test_a_fix_that_left_no_word_has_no_known_price(make: Make) -> None:
    spec = a_job(Limits(), 500_000)
    lost = an_end(JobState.LOST, attempts=(Attempt(started_at=1.0, stopped_at=2.0),))
    assert make(3).actual_micros(spec, lost, None) is None


@every_place
def test_a_fix_that_ended_before_it_ran_paid_no_model(make: Make) -> None:
    spec = a_job(Limits(), 500_000)
    history = ((JobState.QUEUED, 1.0), (JobState.CANCELLED, 2.0))
    cancelled = JobStatus(state=JobState.CANCELLED, history=history, attempts=())
    assert make(3).actual_micros(spec, cancelled, None) == 0


def test_only_aws_bills_for_a_machine() -> None:
    spec = a_job(Limits(memory_mib=20_000), None)
    assert (LocalPricing().vcpus(spec), in_aws(1).vcpus(spec)) == (0.0, 4.0)
    assert LocalPricing().estimate(spec).worst_micros == 0


def test_a_job_in_aws_whose_attempts_nobody_knows_has_no_price() -> None:
    assert in_aws(1).actual_micros(SPEC, an_end(), a_result(0)) is None


def test_a_lost_attempt_counts_all_that_its_models_may_have_cost() -> None:
    spec, one = a_job(Limits(), 500_000), Attempt(started_at=0.0, stopped_at=60.0)
    first = in_aws(3).actual_micros(spec, an_end(attempts=(one,)), a_result(7))
    second = in_aws(3).actual_micros(spec, an_end(attempts=(one, one)), a_result(7))
    assert first is not None
    assert second is not None
    assert second - first >= 500_000
