"""One job at a time of the real worker in an emulated AWS: submits, and lines of the log."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.bench.cloud_account import Cloud
from tests.bench.log_latency import PRINT, SPARSE, by_reading, by_updates
from tests.bench.series import Series, took_s


@dataclass
class Latencies:
    """Seconds."""

    first_submit_s: float = 0.0
    submits: Series = field(default_factory=Series)
    """Of a tree that was sent before."""
    edited: Series = field(default_factory=Series)
    """After an edit of one line, which is sent."""
    lines: dict[str, Series] = field(default_factory=dict[str, Series])
    """Age of each line when its reader had it, by the way of reading."""


def latencies(cloud: Cloud, rounds: int, lines: int) -> Latencies:
    """Submits, each job run to its end before the next; then readers, each on a job of its own."""
    found = Latencies()
    cloud.repository.write("print_times.py", PRINT)
    found.first_submit_s = _submit(cloud)
    for number in range(rounds):
        found.submits.add(_submit(cloud))
        cloud.repository.write("edited.py", f"x = {number}\n")
        found.edited.add(_submit(cloud))
    words = f"{lines} {SPARSE}"
    found.lines["`read_log` in a loop"] = by_reading(cloud.wire, words)
    found.lines["update, then `read_log`"] = by_updates(cloud.wire, words)
    return found


def _submit(cloud: Cloud) -> float:
    """Seconds until the submit was answered."""
    answers: list[str] = []
    arguments = {"command": "true", "fresh": True, "backend": "aws_batch"}

    def ask() -> None:
        answers.append(cloud.wire.call("run_in_sandbox", arguments)["job_id"])

    took = took_s(ask)
    cloud.wire.finished(answers[0])
    return took
