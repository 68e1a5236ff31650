"""Log latency: from a line printed in the sandbox to its reader, from a job's end to its waiter.

CLOCK_MONOTONIC is the machine's: a sandboxed process reads the same clock as this one, so a line
that holds its own time tells its age to whoever reads it.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from tests.bench.series import Series, ms
from tests.bench.serving import scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import DEADLINE_S, Repository, Wire, a_repository

_TARGET_READ_S, _TARGET_WAIT_S = 0.05, 0.1
_STAMP = re.compile(r"^t (\d+)$", re.MULTILINE)
PRINT = """\
import random, sys, time

random.seed(1)
for _ in range(int(sys.argv[1])):
    time.sleep(random.uniform(*map(float, sys.argv[2:4])))
    print("t", time.monotonic_ns(), flush=True)
"""
SPARSE, _DENSE = "0.1 0.5", "0.002 0.02"
"""Seconds between lines: a slow suite, and a fast one that is verbose."""


def measure(*, quick: bool) -> Table:
    """Readers one after the other, each on a job of its own."""
    lines = 30 if quick else 150
    with scratch() as folder:
        repository = a_repository(folder)
        repository.write("print_times.py", PRINT)
        readers = {"`read_log` in a loop": by_reading, "update, then `read_log`": by_updates}
        found: dict[str, Series] = {}
        for gaps, count in ((SPARSE, lines), (_DENSE, lines * 10)):
            for name, reader in readers.items():
                with serving(repository.path, repository.env) as wire:
                    what = f"line printed to read by {name}, lines {_in_ms(gaps)} ms apart"
                    found[what] = reader(wire, f"{count} {gaps}")
        with serving(repository.path, repository.env) as wire:
            ended, whole = _waits(wire, repository, 5 if quick else 30)
    rows = [(what, *ms(series)) for what, series in found.items()]
    rows.append(("last state of a job to `wait_job` answered", *ms(ended)))
    rows.append(("end of the command to `wait_job` answered", *ms(whole)))
    return Table(columns=("", "ms, median", "min", "p95"), rows=rows, notes=_notes(found, ended))


def _notes(found: dict[str, Series], ended: Series) -> list[str]:
    notes = [
        verdict(
            f"{what[0].upper()}{what[1:]}, p95",
            f"{series.p95 * 1_000:.0f} ms",
            "50 ms",
            met=series.p95 <= _TARGET_READ_S,
        )
        for what, series in found.items()
    ]
    worst = ended.p95
    met = worst <= _TARGET_WAIT_S
    told = verdict("`wait_job` after the end, p95", f"{worst * 1_000:.0f} ms", "100 ms", met=met)
    return [*notes, told]


def _in_ms(gaps: str) -> str:
    return " to ".join(f"{float(gap) * 1_000:.0f}" for gap in gaps.split())


def _submit(wire: Wire, words: str) -> str:
    command = f"python3 print_times.py {words}"
    return wire.call("run_in_sandbox", {"command": command, "fresh": True})["job_id"]


def _read(wire: Wire, job: str, cursor: int, ages: Series) -> dict[str, Any]:
    """Read on from `cursor`; the age of each line at the moment its page was here."""
    page = wire.call("read_log", {"job_id": job, "offset": cursor})
    now = time.monotonic_ns()
    for stamp in _STAMP.findall(page["text"]):
        ages.add((now - int(stamp)) / 1e9)
    return page


def by_reading(wire: Wire, words: str) -> Series:
    """A client that asks again as soon as it has its answer."""
    job, ages, cursor, done = _submit(wire, words), Series(), 0, False
    while not done:
        page = _read(wire, job, cursor, ages)
        cursor, done = page["cursor"], page["done"] and page["cursor"] == page["size"]
    return ages


def by_updates(wire: Wire, words: str) -> Series:
    """A client that reads when the server tells it to."""
    job, ages, cursor, done = _submit(wire, words), Series(), 0, False
    uris = [f"job://{job}", f"job://{job}/log"]
    wire.send("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
    while not done:
        told = wire.frame(time.monotonic() + DEADLINE_S)
        if told.get("method") == "notifications/resources/updated":
            page = _read(wire, job, cursor, ages)
            cursor, done = page["cursor"], page["done"] and page["cursor"] == page["size"]
    return ages


def _waits(wire: Wire, repository: Repository, rounds: int) -> tuple[Series, Series]:
    """From the last state on disk, and from the command's own last words, to the answer."""
    ended, whole = Series(), Series()
    state = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "jobs")
    for number in range(rounds):
        job = _submit(wire, f"1 0.{number % 10} 0.5")
        wire.finished(job)
        now, now_ns = time.time(), time.monotonic_ns()
        stored = json.loads((state / job / "state.json").read_bytes())
        ended.add(now - stored["status"]["history"][-1][1])
        (stamp,) = _STAMP.findall(wire.call("read_log", {"job_id": job})["text"])
        whole.add((now_ns - int(stamp)) / 1e9)
    return ended, whole
