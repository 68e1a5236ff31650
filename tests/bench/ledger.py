"""Money held back: reservations a second by one process and by several at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mcp_cloud_agents.ports.ledger import Limit, Order, OverLimit, Scope, ScopeKind, Tags
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.bench.series import Series, ms, took_s
from tests.bench.serving import scratch
from tests.bench.table import Table, verdict

_PROCESSES, _LEAST_PER_S = 8, 200.0
_CAP, _AMOUNT = 10**12, 32_529
_ROOT = Path(__file__).resolve().parents[2]
_SCOPES = (
    Scope(kind=ScopeKind.SESSION, key="s"),
    Scope(kind=ScopeKind.DAY, key="2026-11-21"),
    Scope(kind=ScopeKind.MONTH, key="2026-11"),
)
_TAGS = Tags(agent="run_tests_cloud", backend="aws_batch", workspace="/src/app")


def _order(token: str) -> Order:
    limits = tuple(Limit(scope=scope, cap_micros=_CAP) for scope in _SCOPES)
    return Order(
        token=token, amount_micros=_AMOUNT, limits=limits, at=1.0, expires_at=2.0, tags=_TAGS
    )


def _reserve(ledger: SqliteLedger, token: str) -> None:
    assert not isinstance(ledger.reserve([_order(token)]), OverLimit)


def _work(path: str, me: str, count: int) -> None:
    """One process: reserve as fast as it goes; print each one's seconds."""
    ledger = SqliteLedger(path)
    ledger.open()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    took = [took_s(lambda token=f"{me}-{n}": _reserve(ledger, token)) for n in range(count)]
    sys.stdout.write(json.dumps(took))


def _together(path: str, count: int) -> tuple[Series, float]:
    """Of all processes: each reservation's seconds, and reservations a second."""
    command = [sys.executable, "-m", "tests.bench.ledger", path, str(count)]
    running = [
        subprocess.Popen(
            [*command, str(number)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(_PROCESSES)
    ]
    for one in running:
        assert one.stdout is not None
        one.stdout.readline()
    began = time.perf_counter()
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=300)[0] for one in running]
    took = time.perf_counter() - began
    series = Series([second for text in told for second in json.loads(text)])
    return series, len(series.values) / took


def _check(ledger: SqliteLedger, count: int) -> None:
    """All of it is held, and adds up."""
    held = count * _AMOUNT
    for one in ledger.balances(_SCOPES):
        assert (one.room_micros, one.spent_micros, one.open_micros) == (_CAP - held, 0, held)


def _alone(count: int, work: Callable[[str], object], name: str) -> tuple[str, ...]:
    series = Series([took_s(lambda token=f"a-{n}": work(token)) for n in range(count)])
    return (name, *ms(series), f"{count / sum(series.values):,.0f}")


def measure(*, quick: bool) -> Table:
    """One process first, then several, on the same file."""
    count = 50 if quick else 200
    with scratch() as folder:
        path = str(folder / "ledger.sqlite")
        ledger = SqliteLedger(path)
        ledger.open()
        rows = [
            _alone(count, lambda token: _reserve(ledger, token), "reserve, one process"),
            _alone(count, lambda token: ledger.settle(token, 20_000, at=3.0), "settle"),
        ]
        other = str(folder / "shared.sqlite")
        series, per_s = _together(other, count)
        _check(SqliteLedger(other), count * _PROCESSES)
    rows.append((f"reserve, {_PROCESSES} processes at once", *ms(series), f"{per_s:,.0f}"))
    columns = ("", "ms, median", "min", "p95", "a second, all together")
    return Table(columns=columns, rows=rows, notes=_notes(per_s))


def _notes(per_s: float) -> list[str]:
    return [
        verdict(
            f"Reservations of {_PROCESSES} processes on one ledger",
            f"{per_s:,.0f} a second",
            f">= {_LEAST_PER_S:.0f}",
            met=per_s >= _LEAST_PER_S,
        ),
        "Each one counts against three limits and is on the disk before it returns; afterwards "
        "room, spent and open of every limit added up to its cap.",
    ]


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[3], int(sys.argv[2]))
