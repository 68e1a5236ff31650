"""The cloud: a thousand jobs in flight, the log's latency, submits; AWS emulated on loopback.

What it shows is the server's own work and the number of its calls. The network's way to AWS and
what AWS takes to answer come on top, and are not measured here.
"""

from __future__ import annotations

from itertools import pairwise

from tests.bench.cloud_account import Calls, cloud
from tests.bench.cloud_flight import AT_ONCE, ROOM, WAITERS, Flight, fly
from tests.bench.cloud_latency import Latencies, latencies
from tests.bench.cloud_worker import COMMAND
from tests.bench.series import ms
from tests.bench.table import Table, verdict

_CALLS_PER_S, _PEAK_MIB, _LOOK_MS, _LINE_S, _SUBMIT_S = 3.0, 150.0, 50.0, 1.5, 1.0
Row = tuple[str, ...]


def measure(*, quick: bool) -> Table:
    """Latencies by the real worker; then the flight, with a worker that costs next to nothing."""
    with cloud() as one:
        soon = latencies(one, 5 if quick else 20, 30 if quick else 100)
    with cloud(COMMAND) as many:
        flight = fly(many, 100 if quick else 1_000, 20 if quick else 120)
    rows = [*_rows_of_latencies(soon), *_rows_of_flight(flight)]
    notes = [*_notes_of_latencies(soon), *_notes_of_flight(flight)]
    return Table(columns=("", "value, or median", "min", "p95"), rows=rows, notes=notes)


def _rows_of_latencies(found: Latencies) -> list[Row]:
    lines = found.lines.items()
    return [
        _one("first submit (SDK imported, clients made, tree sent), ms", _ms(found.first_submit_s)),
        ("submit, warm, ms", *ms(found.submits)),
        ("submit, warm, after an edit of one line, ms", *ms(found.edited)),
        *((f"line printed to read by {how}, ms", *ms(ages)) for how, ages in lines),
    ]


def _rows_of_flight(flight: Flight) -> list[Row]:
    submitting, flying, ending = _phases(flight)
    jobs = f"{len(flight.submits.values):,}"
    return [
        _one(f"**{jobs} jobs**: submitted, {AT_ONCE} on the wire at a time, s", _s(submitting)),
        _one(f"{jobs} jobs: all in flight, {ROOM} of them running, s", _s(flying)),
        _one(f"{jobs} jobs: from then to all ended, s", _s(ending)),
        ("`get_job` while they are submitted, ms", *ms(flight.looks_submitting)),
        ("`get_job` while all are in flight, ms", *ms(flight.looks_flying)),
        ("`get_job` while they end, ms", *ms(flight.looks_ending)),
        _one("calls of AWS a job while they are submitted", _each(flight, submitting)),
        _one("calls of AWS a second while all are in flight", f"{_rate(flight, flying):.2f}"),
        _one("calls of AWS a job while they end", _each(flight, ending)),
        _one("server's resident memory after its first job, MiB", f"{flight.before_mib:.0f}"),
        _one("server's resident memory at its highest, MiB", f"{flight.peak_mib:.0f}"),
    ]


def _notes_of_latencies(found: Latencies) -> list[str]:
    slowest = max(found.submits.p95, found.edited.p95)
    return [
        _held("Submit, warm, p95", slowest, _SUBMIT_S, "s"),
        *(
            _held(f"Line printed to read by {how}, p95", ages.p95, _LINE_S, "s")
            for how, ages in found.lines.items()
        ),
    ]


def _notes_of_flight(flight: Flight) -> list[str]:
    _, flying, _ = _phases(flight)
    jobs, looks = len(flight.submits.values), flight.looks_flying
    right = f"{flight.right:,} of {jobs:,}"
    return [
        verdict("Jobs that ended as they should", right, "all", met=flight.right == jobs),
        _held("AWS calls while all are in flight", _rate(flight, flying), _CALLS_PER_S, "a second"),
        _held("`get_job` p95 while all are in flight", looks.p95 * 1_000, _LOOK_MS, "ms"),
        _held("Server's resident memory at its highest", flight.peak_mib, _PEAK_MIB, "MiB"),
        f"Calls while all are in flight: {_calls(flight, flying).counts}.",
        f"{len(looks.values):,} looks at one job after the other meanwhile, and {WAITERS} "
        "`wait_job` open all the time.",
    ]


def _held(what: str, measured: float, most: float, unit: str) -> str:
    """A target that is a most."""
    digits = 0 if most >= 10 else 2
    told, target = f"{measured:.{digits}f} {unit}", f"{most:g} {unit} at most"
    return verdict(what, told, target, met=measured <= most)


def _one(what: str, value: str) -> Row:
    return (what, value, "", "")


def _phases(flight: Flight) -> list[tuple[float, float]]:
    return list(pairwise(flight.moments))


def _calls(flight: Flight, phase: tuple[float, float]) -> Calls:
    return flight.calls.between(*phase)


def _rate(flight: Flight, phase: tuple[float, float]) -> float:
    return len(_calls(flight, phase).all) / (phase[1] - phase[0])


def _each(flight: Flight, phase: tuple[float, float]) -> str:
    return f"{len(_calls(flight, phase).all) / len(flight.submits.values):.1f}"


def _s(phase: tuple[float, float]) -> str:
    return f"{phase[1] - phase[0]:.0f}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:,.0f}"
