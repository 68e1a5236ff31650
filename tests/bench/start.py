"""Start: spawn to first answer and resident memory, against a bare server of the SDK."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.machine import resident_mib
from tests.bench.series import Series, ms, ratio
from tests.bench.serving import BARE, OURS, compile_all, greet, scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import Repository, a_repository

_MAX_TIME, _MAX_MEMORY = 1.15, 1.2
_ERAS = {"initialize": False, "server/discover": True}


def measure(*, quick: bool) -> Table:
    """Both servers in turns, each started anew each time, in both protocol eras."""
    compile_all()
    with scratch() as folder:
        repository = a_repository(folder)
        bare = folder / "bare.py"
        bare.write_text(BARE)
        programs = {"bare": (sys.executable, str(bare)), "ours": OURS}
        found: dict[str, dict[str, Series]] = {}
        for number in range(-1, 5 if quick else 25):
            for era, modern in _ERAS.items():
                for name in programs if number % 2 else reversed(programs):
                    one = _start(repository, programs[name], modern=modern)
                    if number >= 0:
                        for what, value in zip(_named(era), one, strict=True):
                            kept = found.setdefault(what, {"bare": Series(), "ours": Series()})
                            kept[name].add(value)
    return _table(found)


def _named(era: str) -> tuple[str, str, str, str]:
    return (
        f"spawn to `{era}` answered, ms",
        f"resident after `{era}`, MiB",
        f"spawn to `tools/list` answered ({era} first), ms",
        f"resident after `tools/list` ({era} first), MiB",
    )


def _start(
    repository: Repository, argv: Sequence[str], *, modern: bool
) -> tuple[float, float, float, float]:
    """Seconds and MiB at the first answer, and the same at the answer to `tools/list`."""
    began_at = time.perf_counter()
    with serving(Path(repository.path), repository.env, argv, modern=modern) as wire:
        greet(wire)
        first_s = time.perf_counter() - began_at
        first_mib = resident_mib(wire.process.pid)
        if not modern:
            wire.notify("notifications/initialized")
        asked_at = time.perf_counter()
        wire.answer(wire.send("tools/list"))
        tools_s = first_s + time.perf_counter() - asked_at
        return first_s, first_mib, tools_s, resident_mib(wire.process.pid)


def _table(found: dict[str, dict[str, Series]]) -> Table:
    rows = [
        (what, *_cells(what, pair["bare"]), *_cells(what, pair["ours"]), f"{_ratio(pair):.2f}")
        for what, pair in found.items()
    ]
    notes: list[str] = []
    for era in _ERAS:
        time_of, memory_of, _, _ = _named(era)
        for what, most in ((time_of, _MAX_TIME), (memory_of, _MAX_MEMORY)):
            value = _ratio(found[what])
            notes.append(verdict(what, f"{value:.2f}x", f"{most}x", met=value <= most))
    columns = ("", "bare, median", "min", "p95", "ours, median", "min", "p95", "ratio")
    return Table(columns=columns, rows=rows, notes=notes)


def _cells(what: str, series: Series) -> tuple[str, str, str]:
    return series.cells(1, 1) if what.endswith("MiB") else ms(series)


def _ratio(pair: dict[str, Series]) -> float:
    return ratio(pair["ours"], pair["bare"])
