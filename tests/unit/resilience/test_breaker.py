"""When a breaker lets calls through."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mcp_cloud_agents.domain.circuit import BreakerPolicy, Circuit, CircuitRecord, LeftAlone, failed
from mcp_cloud_agents.domain.errors import BackendUnavailable
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
from mcp_cloud_agents.resilience.breaker import Breaker, BreakerBackend
from mcp_cloud_agents.resilience.circuit_in_memory import CircuitInMemory

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.backend import Backend

POLICY = BreakerPolicy(failures=3, first_pause_s=10.0, longest_pause_s=30.0, trial_s=60.0)
NOW = 1_700_000_000.0


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def opened(time: Time, store: CircuitInMemory | None = None) -> Breaker:
    breaker = Breaker(POLICY, time, store)
    for number in range(3):
        assert breaker.refusal() is None
        breaker.failed(f"failure {number}")
    return breaker


def test_failures_in_a_row_open_it_and_the_last_is_told() -> None:
    breaker = opened(Time())
    assert breaker.circuit is Circuit.OPEN
    assert breaker.refusal() == LeftAlone(why="failure 2", until=NOW + 10)


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = Breaker(POLICY, Time())
    for _ in range(5):
        breaker.failed("no")
        breaker.failed("no")
        breaker.succeeded()
    assert (breaker.circuit, breaker.refusal()) == (Circuit.CLOSED, None)


def test_after_the_pause_one_call_is_let_through() -> None:
    time = Time()
    breaker = opened(time)
    time.now += 10.0
    assert breaker.circuit is Circuit.HALF_OPEN
    assert breaker.refusal() is None
    assert breaker.refusal() == LeftAlone(why="failure 2", until=time.now + POLICY.trial_s)
    breaker.succeeded()
    assert (breaker.circuit, breaker.refusal(), breaker.refusal()) == (Circuit.CLOSED, None, None)


def test_each_failed_try_doubles_the_pause_up_to_the_longest() -> None:
    time = Time()
    breaker = opened(time)
    for pause_s in (10.0, 20.0, 30.0, 30.0):
        time.now += pause_s - 0.001
        assert breaker.refusal() is not None
        time.now += 0.001
        assert breaker.refusal() is None
        breaker.failed("still")


def test_a_try_that_was_cancelled_lets_another_one_through() -> None:
    time = Time()
    breaker = opened(time)
    time.now += 10.0
    assert breaker.refusal() is None
    breaker.unknown()
    assert breaker.refusal() is None


def test_processes_that_share_a_record_have_one_call_between_them() -> None:
    time, store = Time(), CircuitInMemory()
    one, other = opened(time, store), Breaker(POLICY, time, store)
    assert other.circuit is Circuit.OPEN
    time.now += 10.0
    assert other.refusal() is None
    assert one.refusal() is not None
    other.succeeded()
    assert (one.circuit, one.refusal(), store.read()) == (Circuit.CLOSED, None, CircuitRecord())


def test_a_try_that_died_is_forgotten_after_its_time() -> None:
    time = Time()
    breaker = opened(time)
    time.now += 10.0
    assert breaker.refusal() is None
    time.now += POLICY.trial_s - 1
    assert breaker.refusal() is not None
    time.now += 1
    assert breaker.refusal() is None
    assert breaker.refusal() is not None


@pytest.mark.parametrize("moved_s", [-40_000_000.0, -90_000.0, -3_600.0, -31.0, 11.0, 9e6])
def test_a_clock_that_was_moved_far_lets_a_call_through(moved_s: float) -> None:
    time = Time()
    breaker = opened(time)
    time.now += moved_s
    assert breaker.refusal() is None


def test_a_clock_that_was_moved_back_a_little_never_holds_for_long() -> None:
    time = Time()
    breaker = opened(time)
    time.now -= 15
    assert breaker.refusal() == LeftAlone(why="failure 2", until=NOW + 10)
    time.now += 25
    assert breaker.refusal() is None


def test_failures_of_another_day_do_not_count() -> None:
    time = Time()
    breaker = Breaker(POLICY, time)
    breaker.failed("no")
    breaker.failed("no")
    time.now += 100_000
    breaker.failed("no")
    assert breaker.circuit is Circuit.CLOSED


def test_it_is_open_since_it_was_closed_whatever_the_tries_said() -> None:
    record = CircuitRecord()
    for number in range(5):
        record = failed(record, POLICY, NOW + number, "no\n\x1b[31m\ud800" + "x" * 900)
    assert (record.since, record.failed_at, record.pause_s) == (NOW + 2, NOW + 4, 30.0)
    assert record.why.startswith("no ?xxx")
    assert len(record.why) == 300


def test_a_failure_may_weigh_more_than_one() -> None:
    breaker = Breaker(POLICY, Time())
    breaker.failed("late", weight=3)
    assert breaker.circuit is Circuit.OPEN


class Away:
    """A backend of which only the probe is ever asked."""

    name = "away"

    def __init__(self) -> None:
        self.probes = 0

    async def probe(self) -> Probe:
        self.probes += 1
        return Probe(
            level=IsolationLevel.CONTAINER, driver="none", works=False, problem="no network"
        )


@pytest.mark.anyio
async def test_a_place_that_cannot_be_reached_is_not_waited_for_again_and_again() -> None:
    away = Away()
    backend = BreakerBackend(cast("Backend", away), Breaker(POLICY, Time()))
    for _ in range(3):
        assert not (await backend.probe()).works
    for _ in range(3):
        with pytest.raises(BackendUnavailable) as left:
            await backend.probe()
        assert left.value.message == (
            "away failed several times in a row and is left alone for a while: it is tried again "
            "at 2023-11-14 22:13:30 UTC; it failed by: no network."
        )
    assert away.probes == 3
