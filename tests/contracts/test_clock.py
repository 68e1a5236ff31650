"""The contract of `ports/clock.py`, for every implementation."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.clock import Clock
from mcp_cloud_agents.telemetry.clock import SystemClock
from tests.paid_house import MovedClock

CLOCKS: dict[str, Callable[[], Clock]] = {"system": SystemClock, "moved": MovedClock}
TEN_THOUSAND = """
from mcp_cloud_agents.telemetry.clock import SystemClock
for _ in range(10_000):
    print(SystemClock().new_job_id())
"""


@pytest.fixture(params=CLOCKS)
def clock(request: pytest.FixtureRequest) -> Clock:
    return CLOCKS[request.param]()


def next_millisecond(clock: Clock) -> None:
    began = clock.now()
    while int(clock.now() * 1_000) <= int(began * 1_000):
        pass


def test_the_time_is_that_of_the_machine(clock: Clock) -> None:
    assert time.time() <= clock.now() <= time.time()


def test_measured_time_never_goes_back(clock: Clock) -> None:
    seen = [clock.monotonic() for _ in range(10_000)]
    assert seen == sorted(seen)


def test_an_id_is_a_plain_file_name_of_one_length(clock: Clock) -> None:
    ids = [clock.new_job_id() for _ in range(1_000)]
    assert all(re.fullmatch("j[0-9a-z]{20,79}", job_id) for job_id in ids)
    assert len({len(job_id) for job_id in ids}) == 1


def test_ids_sort_by_the_millisecond_they_were_made_in(clock: Clock) -> None:
    ids: list[JobId] = []
    for _ in range(50):
        ids.append(clock.new_job_id())
        next_millisecond(clock)
    assert ids == sorted(ids)


def test_no_two_ids_are_the_same_whichever_thread_makes_them(clock: Clock) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(clock.new_job_id) for _ in range(20_000)]
    assert len({one.result() for one in made}) == 20_000


def test_no_two_ids_are_the_same_whichever_process_makes_them() -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", TEN_THOUSAND], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    made = [line for one in programs for line in one.communicate(timeout=60)[0].splitlines()]
    assert len(set(made)) == len(made) == 20_000


def test_what_follows_the_time_cannot_be_guessed(clock: Clock) -> None:
    """In ids of one moment, 13 characters of 32 are chance; each one takes every value."""
    ids = [clock.new_job_id() for _ in range(2_000)]
    values = [len({job_id[at] for job_id in ids}) for at in range(len(ids[0]) - 13, len(ids[0]))]
    assert values == [32] * 13
