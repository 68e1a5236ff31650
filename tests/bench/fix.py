"""A fix: what a job adds to a command and its tests, and what the scripted tasks cost."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.fix import MICROS_PER_USD
from mcp_cloud_agents.domain.fix_policy import FixPolicy
from tests.bench.overhead import equal_environment
from tests.bench.series import Series, ms, took_s
from tests.bench.serving import scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import Repository, Wire, a_repository
from tests.fix_tasks.house import KEY, TASKS, House
from tests.model_server.server import model_server

_MAX_OVERHEAD_S = 1.5
_TESTS = "python -m pytest -q"
_EDIT = "sed -i 's/a - b/a + b/' sums.py"
_SOURCE = "def add(a, b):\n    return a - b\n"
_SUITE = """\
import pytest
from sums import add


def test_sum():
    assert add(2, 3) == 5


@pytest.mark.parametrize("number", range(100))
def test_one(number):
    assert add(number, 0) == number
"""
_QUICK = 6


def measure(*, quick: bool) -> Table:
    """The overhead first, then the money."""
    bare, ours = _overhead(3 if quick else 12)
    extra = Series([b - a for a, b in zip(bare.values, ours.values, strict=True)])
    rows = [
        ("the command and the tests, bare", *ms(bare)),
        ("through `fix_in_sandbox`, engine `command`", *ms(ours)),
        ("overhead", *ms(extra)),
    ]
    notes = [
        verdict(
            "Overhead of a deterministic fix",
            f"{extra.median:.2f} s",
            f"{_MAX_OVERHEAD_S} s at most",
            met=extra.median <= _MAX_OVERHEAD_S,
        ),
        *_money(quick=quick),
    ]
    return Table(columns=("", "ms, median", "min", "p95"), rows=rows, notes=notes)


def _overhead(rounds: int) -> tuple[Series, Series]:
    bare, ours = Series(), Series()
    with scratch() as folder:
        repository = a_repository(folder)
        (repository.path / ".cloud-agents/config.toml").unlink()
        repository.write("requirements.txt", "pytest==9.2.0\n")
        repository.write(".gitignore", "__pycache__/\n.pytest_cache/\n")
        (repository.path / "test_it.py").unlink()
        repository.write("test_sums.py", _SUITE)
        repository.write("sums.py", _SOURCE)
        programs = equal_environment(repository, folder)
        with serving(repository.path, repository.env) as wire:
            _fixed(wire)  # makes the environment
            for _ in range(rounds):
                ours.add(took_s(partial(_fixed, wire)))
                bare.add(took_s(partial(_bare, repository, programs)))
                repository.write("sums.py", _SOURCE)
    return bare, ours


def _fixed(wire: Wire) -> None:
    asked = {"goal": "sums are sums", "test_command": _TESTS, "command": _EDIT}
    done = wire.finished(wire.call("fix_in_sandbox", asked)["job_id"])
    assert done["fix"]["label"] == "verified", done


def _bare(repository: Repository, programs: Path) -> None:
    env = {**repository.env, "PATH": f"{programs}:{repository.env['PATH']}"}
    command = ("sh", "-c", f"{_EDIT} && {_TESTS}")
    subprocess.run(command, cwd=repository.path, env=env, stdout=subprocess.PIPE, check=True)


def _money(*, quick: bool) -> list[str]:
    """Dollars of the tasks whose script a model plays, and how far any passed its cap."""
    names = [name for name, task in TASKS.items() if task.scripts][: _QUICK if quick else None]
    spent, solved, over = 0.0, 0, 0.0
    with scratch() as folder, model_server() as models, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIX_TASK_KEY", KEY)
        house = House(folder, models)
        for name in names:
            fix = house.ran(name)["fix"]
            cap = float(TASKS[name].fix.get("max_usd", FixPolicy().max_usd))
            spent += float(fix["spent_usd"])
            solved += fix.get("label") == "verified"
            over = max(over, float(fix["spent_usd"]) - cap)
    least = 1 / MICROS_PER_USD
    return [
        f"Of {len(names)} scripted tasks {solved} were solved and verified, for {spent:.4f} USD "
        f"in all: {spent / max(1, solved):.4f} USD a solved task, the failed ones included.",
        verdict(
            "Most that any passed its dollar cap by",
            f"{max(0.0, over):.6f} USD",
            "0",
            met=over < least,
        ),
    ]
