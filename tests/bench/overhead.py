"""Overhead: a pytest suite through `run_tests_cloud` in a warm environment, against the bare run.

The bare run is the same command in the same tree, in a virtual environment that was made by the
same commands; both have their packages' bytecode compiled.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mcp_cloud_agents.environments.uv_program import uv_program
from tests.bench.series import Series, ms, ratio, took_s
from tests.bench.serving import scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import Repository, Wire, a_repository

_MAX_OVERHEAD_S, _MAX_RATIO, _LONG_S = 0.4, 1.06, 10
_REQUIREMENTS = "pytest==9.2.0\n"
_COMMAND = "python -m pytest -q"
_PHASES = ("queued", "restore", "setup", "run", "collect")
_SUITE = """\
import hashlib
import time

import pytest


@pytest.mark.parametrize("number", range({count}))
def test_one(number):
    for _ in range({work}):
        hashlib.sha256(bytes(100_000)).digest()
    time.sleep({wait})
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite, run both ways."""

    name: str
    source: str
    bare: Series = field(default_factory=Series)
    ours: Series = field(default_factory=Series)
    submit: Series = field(default_factory=Series)
    phases: Mapping[str, Series] = field(
        default_factory=lambda: {phase: Series() for phase in _PHASES}
    )

    @property
    def overhead(self) -> Series:
        """Seconds that each pair of runs differs by."""
        pairs = zip(self.ours.values, self.bare.values, strict=True)
        return Series([ours - bare for ours, bare in pairs])

    @property
    def rest(self) -> Series:
        """Wall time that is neither the submit's nor a phase's."""
        known = zip(self.submit.values, *(one.values for one in self.phases.values()), strict=True)
        return Series([w - sum(parts) for w, parts in zip(self.ours.values, known, strict=True)])


def measure(*, quick: bool) -> Table:
    """Every suite both ways in turns."""
    many, few = (3, 2) if quick else (15, 7)
    suites = [
        (Suite("1 test", _SUITE.format(count=1, work=0, wait=0)), many),
        (Suite("500 tests", _SUITE.format(count=500, work=1, wait=0)), many),
        (Suite("100 tests, 10 s", _SUITE.format(count=100, work=150, wait=0.06)), few),
    ]
    with scratch() as folder:
        repository = a_repository(folder)
        (repository.path / ".cloud-agents/config.toml").unlink()
        repository.write("requirements.txt", _REQUIREMENTS)
        repository.write(".gitignore", "__pycache__/\n.pytest_cache/\n")
        (repository.path / "test_it.py").unlink()
        programs = equal_environment(repository, folder)
        with serving(repository.path, repository.env) as wire:
            for suite, rounds in suites:
                repository.write("test_suite.py", suite.source)
                ways = (partial(_ours, wire, suite), partial(_bare, repository, programs, suite))
                for number in range(-1, rounds):
                    for way in ways if number % 2 else reversed(ways):
                        way(counted=number >= 0)
    return _table([suite for suite, _ in suites])


def equal_environment(repository: Repository, folder: Path) -> Path:
    """A virtual environment as the set-up phase makes one; the folder of its programs."""
    uv, venv = uv_program(str(folder / "tools"), job_uid=None), folder / "venv"
    env = {**repository.env, "UV_COMPILE_BYTECODE": "1"}
    python = "/usr/bin/python3"
    for words in (
        ("venv", "--quiet", "--python", python, str(venv)),
        (
            "pip",
            "install",
            "--quiet",
            "--system-certs",
            "--python",
            str(venv),
            "-r",
            "requirements.txt",
        ),
    ):
        subprocess.run([uv, *words], cwd=repository.path, env=env, check=True)
    return venv / "bin"


def _bare(repository: Repository, programs: Path, suite: Suite, *, counted: bool) -> None:
    env = {**repository.env, "PATH": f"{programs}:{repository.env['PATH']}"}

    def run() -> None:
        command = ("sh", "-c", _COMMAND)
        subprocess.run(command, cwd=repository.path, env=env, stdout=subprocess.PIPE, check=True)

    seconds = took_s(run)
    if counted:
        suite.bare.add(seconds)


def _ours(wire: Wire, suite: Suite, *, counted: bool) -> None:
    began_at = time.perf_counter()
    job = wire.call("run_tests_cloud", {"command": _COMMAND})["job_id"]
    submitted_s = time.perf_counter() - began_at
    done = wire.finished(job)
    whole_s = time.perf_counter() - began_at
    assert done["verdict"] == "passed", done
    if not counted:
        return
    assert done["environment"] == "cached", done
    suite.ours.add(whole_s)
    suite.submit.add(submitted_s)
    for phase, series in suite.phases.items():
        series.add(done["timings_s"][phase])


def _table(suites: list[Suite]) -> Table:
    rows: list[tuple[str, ...]] = []
    for suite in suites:
        rows += [
            (f"**{suite.name}**: bare", *ms(suite.bare)),
            (f"{suite.name}: through `run_tests_cloud`", *ms(suite.ours)),
            (f"{suite.name}: overhead", *ms(suite.overhead)),
            (f"{suite.name}: submit", *ms(suite.submit)),
            *((f"{suite.name}: {name}", *ms(series)) for name, series in suite.phases.items()),
            (f"{suite.name}: rest (start of the worker, answers)", *ms(suite.rest)),
        ]
    return Table(columns=("", "ms, median", "min", "p95"), rows=rows, notes=_notes(suites))


def _notes(suites: list[Suite]) -> list[str]:
    notes: list[str] = []
    for suite in suites:
        extra, times = suite.overhead.median, ratio(suite.ours, suite.bare)
        met = extra <= _MAX_OVERHEAD_S
        notes.append(verdict(f"{suite.name}, overhead", f"{extra:.2f} s", "0.4 s", met=met))
        if suite.bare.median >= _LONG_S / 2:
            met = times <= _MAX_RATIO
            notes.append(verdict(f"{suite.name}, ratio", f"{times:.3f}x", "1.06x", met=met))
    return notes
