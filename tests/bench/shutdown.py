"""Shutdown: from end of stdin or a signal to the end of the process, with a wait in flight."""

from __future__ import annotations

import os
import select
import signal
import time

from tests.bench.series import Series, ms
from tests.bench.serving import greet, scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import Repository, Wire, a_repository

_TARGET_S = 0.3
_LONGEST_S = 30.0
_WAYS = ("end of stdin", "SIGTERM", "SIGINT", "SIGHUP")


def measure(*, quick: bool) -> Table:
    """Each way in turns, on a fresh server that is waiting for a job."""
    found = {way: Series() for way in _WAYS}
    with scratch() as folder:
        repository = a_repository(folder)
        job = _job(repository)
        for _ in range(3 if quick else 20):
            for way in _WAYS:
                found[way].add(_leave(repository, job, way))
        _cancel(repository, job)
    rows = [(way, *ms(series)) for way, series in found.items()]
    worst = max(series.p95 for series in found.values())
    note = verdict("Slowest p95", f"{worst * 1_000:.0f} ms", "300 ms", met=worst <= _TARGET_S)
    return Table(columns=("", "ms, median", "min", "p95"), rows=rows, notes=(note,))


def _job(repository: Repository) -> str:
    with serving(repository.path, repository.env) as wire:
        return wire.call("run_in_sandbox", {"command": "sleep 600"})["job_id"]


def _cancel(repository: Repository, job: str) -> None:
    with serving(repository.path, repository.env) as wire:
        wire.call("cancel_job", {"job_id": job})
        wire.finished(job)


def _leave(repository: Repository, job: str, way: str) -> float:
    with serving(repository.path, repository.env) as wire:
        greet(wire)
        wire.call("get_job", {"job_id": job})
        wire.send("tools/call", {"name": "wait_job", "arguments": {"job_id": job}})
        wire.call("get_job", {"job_id": job})
        with open(os.pidfd_open(wire.process.pid), "rb") as process:  # Popen.wait looks every 32 ms
            began_at = time.perf_counter()
            _end(wire, way)
            assert select.select([process], [], [], _LONGEST_S)[0], "the server stays"
            return time.perf_counter() - began_at


def _end(wire: Wire, way: str) -> None:
    if way.startswith("SIG"):
        wire.process.send_signal(getattr(signal, way))
    else:
        wire.say_goodbye()
