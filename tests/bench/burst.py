"""Burst: 50 jobs submitted at once on one connection; how the server answers meanwhile."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

from tests.bench.machine import peak_mib, resident_mib
from tests.bench.series import Series, ms
from tests.bench.serving import scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import Wire, a_repository

_JOBS = 50
_TARGET_S = 0.05
_PAUSE_S = 0.02


def measure(*, quick: bool) -> Table:
    """All submits are on the wire before the first answer is read."""
    count = 10 if quick else _JOBS
    with scratch() as folder:
        repository = a_repository(folder)
        with serving(repository.path, repository.env) as wire:
            wire.finished(wire.call("run_in_sandbox", {"command": "true"})["job_id"])
            first = wire.call("list_jobs")["jobs"][0]["job_id"]
            idle, during = Series(), Series()
            for _ in range(50):
                _look(wire, first, idle)
            before = resident_mib(wire.process.pid)
            began_at = time.perf_counter()
            jobs = _submit_all(wire, count, lambda: _look(wire, first, during))
            submitted_s = time.perf_counter() - began_at
            looks, ended = _look_until_done(wire, jobs)
            done_s = time.perf_counter() - began_at
            peak = peak_mib(wire.process.pid)
    rows = [
        (f"{count} submits on the wire to all answered, s", f"{submitted_s:.2f}", "", ""),
        ("to all done, s", f"{done_s:.2f}", "", ""),
        ("jobs a second", f"{count / done_s:.2f}", "", ""),
        ("`get_job`, nothing runs, ms", *ms(idle)),
        ("`get_job` while they are submitted, ms", *ms(during)),
        ("`get_job` while they run, ms", *ms(looks)),
        ("server's resident memory before, MiB", f"{before:.0f}", "", ""),
        ("server's resident memory at its highest, MiB", f"{peak:.0f}", "", ""),
    ]
    good = ended.count("succeeded")
    notes = (
        verdict("Jobs that succeeded", f"{good} of {count}", "all", met=good == count),
        _responsive("are submitted", during),
        _responsive("run", looks),
        f"{len(during.values)} and {len(looks.values)} looks, {_PAUSE_S * 1_000:.0f} ms apart.",
    )
    return Table(columns=("", "value, or median", "min", "p95"), rows=rows, notes=notes)


def _responsive(what: str, looks: Series) -> str:
    shown = f"{looks.p95 * 1_000:.1f} ms"
    return verdict(f"`get_job` p95 while they {what}", shown, "50 ms", met=looks.p95 <= _TARGET_S)


def _submit_all(wire: Wire, count: int, look: Callable[[], object]) -> list[str]:
    """Ids of the jobs; `look` is called over and over until all submits are answered."""
    asked = {
        wire.send(
            "tools/call",
            {"name": "run_in_sandbox", "arguments": {"command": f"sleep 0.2 # {number}"}},
        )
        for number in range(count)
    }
    jobs = dict[int, str]()
    while len(jobs) < count:
        look()
        for frame in wire.seen:
            if frame.get("id") in asked:
                jobs[frame["id"]] = frame["result"]["structuredContent"]["job_id"]
        wire.seen.clear()
        select.select([], [], [], _PAUSE_S)
    return list(jobs.values())


def _look(wire: Wire, job: str, found: Series) -> dict[str, Any]:
    began_at = time.perf_counter()
    answer = wire.call("get_job", {"job_id": job})
    found.add(time.perf_counter() - began_at)
    return answer


def _look_until_done(wire: Wire, jobs: list[str]) -> tuple[Series, list[str]]:
    """How long each look took, and the states the jobs ended in."""
    found, ended, left = Series(), dict[str, str](), list(jobs)
    while left:
        job = left.pop(0)
        answer = _look(wire, job, found)
        if answer["done"]:
            ended[job] = answer["state"]
        else:
            left.append(job)
            select.select([], [], [], _PAUSE_S)
    return found, list(ended.values())
