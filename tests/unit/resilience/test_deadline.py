"""What each hop of a job may take of its time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.resilience.deadline import (
    COLLECT_S,
    LEAST_COLLECT_S,
    QUEUE_S,
    Deadline,
    Hops,
    deadline_for,
    deadline_here,
)

SpecFactory = Callable[..., JobSpec]
FOREVER = Deadline(float("inf"))
SECONDS = st.floats(min_value=0, max_value=1e6)
PART = st.floats(0, 1)
LIMITS = st.builds(
    Limits,
    timeout_s=st.integers(1, 86_400),
    setup_timeout_s=st.integers(1, 86_400),
)


@given(at=SECONDS, now=SECONDS, most=SECONDS, keep=SECONDS)
def test_no_share_is_more_than_its_limit_or_what_is_left(
    at: float, now: float, most: float, keep: float
) -> None:
    share = Deadline(at).share(now, most, keep)
    assert 0 <= share <= most
    assert share <= max(0.0, at - now - keep)


@given(left=SECONDS, waited=PART, used=st.tuples(PART, PART, PART), limits=LIMITS)
def test_all_hops_together_end_by_the_deadline(
    left: float, waited: float, used: tuple[float, float, float], limits: Limits
) -> None:
    """Each takes some of its share, or all of it."""
    hops = Hops.begun(Deadline(left), limits, 0.0)
    now = waited * left
    for hop, part in zip((hops.restore_s, hops.set_up_s, hops.run_s), used, strict=True):
        now += part * hop(now)
        assert now <= left + 1e-6
    least = min(hops.reserve_s, left - waited * left)
    assert left - now >= least - 1e-6
    assert LEAST_COLLECT_S <= hops.collect_s(now) <= max(LEAST_COLLECT_S, left - now)


@given(left=st.floats(1, 1e6), limits=LIMITS)
def test_set_up_leaves_the_run_its_limit_or_half(left: float, limits: Limits) -> None:
    hops = Hops.begun(Deadline(left), limits, 0.0)
    after = hops.set_up_s(0.0)
    whole = left - hops.reserve_s
    assert hops.run_s(after) >= min(limits.timeout_s, whole / 2) - 1e-6


@given(limits=LIMITS, now=SECONDS)
def test_without_a_deadline_every_hop_has_its_own_limit(limits: Limits, now: float) -> None:
    hops = Hops.begun(FOREVER, limits, 0.0)
    assert hops.restore_s(now) == hops.set_up_s(now) == limits.setup_timeout_s
    assert (hops.run_s(now), hops.collect_s(now)) == (limits.timeout_s, COLLECT_S)
    assert not hops.over(now)


@given(limits=LIMITS, waited=st.floats(0, QUEUE_S), setup=st.booleans())
def test_a_job_that_waits_no_longer_than_it_may_gets_all_its_limits(
    limits: Limits, waited: float, setup: bool
) -> None:
    commands = ("true",) if setup else ()
    hops = Hops.begun(Deadline(deadline_for(limits, commands, 0.0)), limits, waited)
    assert not hops.over(waited)
    restored = waited + min(300.0, hops.restore_s(waited))
    ready = restored + (hops.set_up_s(restored) if setup else 0.0)
    assert not setup or hops.set_up_s(restored) == limits.setup_timeout_s
    assert hops.run_s(ready) == limits.timeout_s
    assert hops.collect_s(ready + limits.timeout_s) == COLLECT_S


def test_the_deadline_of_a_job_is_queue_and_limits_after_it_was_let_go() -> None:
    limits = Limits(timeout_s=600, setup_timeout_s=300)
    assert deadline_for(limits, (), 1_000.0) == 1_000 + 21_600 + 1_320
    assert deadline_for(limits, ("true",), 1_000.0, queue_s=0) == 1_000 + 1_620


@pytest.mark.parametrize(
    ("wall", "left_s"),
    [(1_000.0, 500.0), (1_400.0, 100.0), (-9e9, 500.0), (1_500.0, 0.0), (9e9, 0.0)],
)
def test_a_wall_clock_that_was_moved_gives_no_more_than_there_was(
    a_spec: SpecFactory, wall: float, left_s: float
) -> None:
    spec = a_spec(created_at=1_000.0, deadline_at=1_500.0)
    assert deadline_here(spec, wall, 77.0).left(77.0) == left_s


def test_an_older_specification_has_no_deadline(a_spec: SpecFactory) -> None:
    assert deadline_here(a_spec(), 1e12, 5.0) == FOREVER
