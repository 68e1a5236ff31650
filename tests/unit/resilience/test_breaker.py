"""When a breaker lets calls through."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mcp_cloud_agents.domain.errors import BackendUnavailable
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
from mcp_cloud_agents.resilience.breaker import Breaker, BreakerBackend, BreakerPolicy, Circuit

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.backend import Backend

POLICY = BreakerPolicy(failures=3, first_pause_s=10.0, longest_pause_s=30.0)


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def opened(time: Time) -> Breaker:
    breaker = Breaker(POLICY, time)
    for number in range(3):
        assert breaker.refusal() is None
        breaker.failed(f"failure {number}")
    return breaker


def test_failures_in_a_row_open_it_and_the_last_is_told() -> None:
    breaker = opened(Time())
    assert (breaker.circuit, breaker.refusal()) == (Circuit.OPEN, "failure 2")


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
    assert (breaker.refusal(), breaker.refusal()) == (None, "failure 2")
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
        with pytest.raises(BackendUnavailable, match="no network"):
            await backend.probe()
    assert away.probes == 3
