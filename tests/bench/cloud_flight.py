"""A thousand jobs in flight at once, followed by one client through one server.

The queue has room for 64 of them; the others wait in RUNNABLE, as in an account with a quota. The
jobs that run wait for a file, so that all are in flight until the measurement ends; then the rest
goes through the queue, and each has to end with the exit code that was asked for.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from tests.bench.cloud_account import Calls, Cloud
from tests.bench.machine import peak_mib, resident_mib
from tests.bench.series import Series

AT_ONCE = 8
"""Submits on the wire at a time."""
WAITERS = 8
ROOM = 64
"""Of the emulator's 128 vCPUs, two a job."""
_PAUSE_S = 0.02


@dataclass
class Flight:
    """What was measured; times since the epoch."""

    submits: Series = field(default_factory=Series)
    looks_submitting: Series = field(default_factory=Series)
    looks_flying: Series = field(default_factory=Series)
    looks_ending: Series = field(default_factory=Series)
    moments: list[float] = field(default_factory=list[float])
    """Before the first submit, all submitted, the gate opened, all ended."""
    before_mib: float = 0.0
    peak_mib: float = 0.0
    right: int = 0
    calls: Calls = field(default_factory=lambda: Calls(()))


class Client:
    """Looks at job after job, with a few waits open all the time."""

    def __init__(self, cloud: Cloud) -> None:
        self.wire = cloud.wire
        self.gate = cloud.folder / "gate"
        self.jobs: dict[str, int] = {}
        """With the exit code that each was asked for."""
        self.ended: dict[str, Any] = {}
        self._waits: dict[int, str] = {}

    def submit(self, number: int) -> int:
        """Ask; the number of the request."""
        command = f"say job {number}; until-file {self.gate}; say end; exit {number % 3}"
        arguments = {"command": command, "backend": "aws_batch"}
        return self.wire.send("tools/call", {"name": "run_in_sandbox", "arguments": arguments})

    def look(self, job: str, found: Series) -> None:
        """One `get_job`."""
        began_at = time.perf_counter()
        answer = self.wire.call("get_job", {"job_id": job})
        found.add(time.perf_counter() - began_at)
        self._note(answer)

    def keep_waiting(self, jobs: Iterator[str]) -> None:
        """Take answers to waits; ask anew for other jobs."""
        for frame in self.wire.seen:
            if self._waits.pop(frame.get("id", 0), None) is not None:
                self._note(frame["result"]["structuredContent"])
        self.wire.seen.clear()
        while len(self._waits) < WAITERS and len(self.ended) < len(self.jobs):
            job = next(job for job in jobs if job not in self.ended)
            arguments = {"job_id": job, "timeout_s": 50}
            number = self.wire.send("tools/call", {"name": "wait_job", "arguments": arguments})
            self._waits[number] = job

    def _note(self, answer: dict[str, Any]) -> None:
        if answer["done"]:
            self.ended[answer["job_id"]] = answer.get("exit_code"), answer["state"]


def fly(cloud: Cloud, count: int, flight_s: float) -> Flight:
    """Submit, follow for a while, let them end."""
    client, found = Client(cloud), Flight()
    warm_up(cloud)
    found.before_mib = resident_mib(cloud.wire.process.pid)
    found.moments.append(time.time())
    _submit_all(client, count, found)
    found.moments.append(time.time())
    _follow_for(client, flight_s, found.looks_flying)
    assert not client.ended, client.ended
    found.moments.append(time.time())
    client.gate.touch()
    _follow_to_the_end(client, found.looks_ending)
    found.moments.append(time.time())
    found.peak_mib = peak_mib(cloud.wire.process.pid)
    wanted = {job: (code, "succeeded") for job, code in client.jobs.items()}
    found.right = sum(client.ended.get(job) == end for job, end in wanted.items())
    found.calls = cloud.calls()
    return found


def warm_up(cloud: Cloud) -> float:
    """The first submit: boto3 is imported, clients are made, the tree is sent. Its seconds."""
    began_at = time.perf_counter()
    arguments = {"command": "say it", "backend": "aws_batch"}
    answer = cloud.wire.call("run_in_sandbox", arguments)
    took = time.perf_counter() - began_at
    cloud.wire.finished(answer["job_id"])
    return took


def _submit_all(client: Client, count: int, found: Flight) -> None:
    asked: dict[int, tuple[int, float]] = {}
    number = 0
    while len(client.jobs) < count:
        while len(asked) < AT_ONCE and number < count:
            asked[client.submit(number)] = number, time.perf_counter()
            number += 1
        if client.jobs:
            client.look(next(reversed(client.jobs)), found.looks_submitting)
        else:
            client.wire.seen.append(client.wire.frame(time.monotonic() + 60))
        now = time.perf_counter()
        for frame in client.wire.seen:
            which, began_at = asked.pop(frame["id"])
            found.submits.add(now - began_at)
            client.jobs[frame["result"]["structuredContent"]["job_id"]] = which % 3
        client.wire.seen.clear()
        select.select([], [], [], _PAUSE_S)


def _follow_for(client: Client, seconds: float, found: Series) -> None:
    until = time.monotonic() + seconds
    waited, looked = cycle(tuple(client.jobs)), cycle(tuple(client.jobs))
    while time.monotonic() < until:
        client.keep_waiting(waited)
        client.look(next(looked), found)
        select.select([], [], [], _PAUSE_S)


def _follow_to_the_end(client: Client, found: Series) -> None:
    waited, looked = cycle(tuple(client.jobs)), cycle(tuple(client.jobs))
    while len(client.ended) < len(client.jobs):
        client.look(next(job for job in looked if job not in client.ended), found)
        client.keep_waiting(waited)
        select.select([], [], [], _PAUSE_S)
