"""Applying a patch to a large dirty tree, through the server, beside `git status` there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.large_tree import edit, large_repository, name_of
from tests.bench.series import Series, ms, ratio, took_s
from tests.bench.serving import OURS, scratch, serving
from tests.bench.table import Table, verdict
from tests.e2e.wire import Repository, Wire

_MAX_RATIO = 2.0
_FILES, _FILES_QUICK = 20_000, 2_000
_ROUNDS, _ROUNDS_QUICK = 20, 5
_CHANGED, _DIRTY = 5, 100
"""Files that the job changes, and files that are dirty besides."""
_PATIENCE_S = 900.0
_MODES = ("check", "worktree", "branch")


def measure(*, quick: bool) -> Table:
    """Each mode in turns with `git status`, in a tree with many edits that are not committed."""
    files = _FILES_QUICK if quick else _FILES
    rounds = _ROUNDS_QUICK if quick else _ROUNDS
    with scratch() as folder:
        repository = large_repository(folder / "large", files)
        for number in range(_DIRTY):
            edit(repository, files - 1 - number, "# of the user")
        with serving(repository.path, repository.env) as wire:
            took, status = _rounds(wire, repository, rounds)
    rows = [
        (mode, *ms(series), ms(status)[0], f"{ratio(series, status):.1f}")
        for mode, series in took.items()
    ]
    notes = [
        verdict(
            f"apply_patch({mode}) on {files:,} files, {_DIRTY} of them dirty",
            f"{ratio(series, status):.1f} times `git status`",
            f"under {_MAX_RATIO:g}",
            met=ratio(series, status) < _MAX_RATIO,
        )
        for mode, series in took.items()
    ]
    columns = ("mode", "median ms", "least", "p95", "git status ms", "times")
    return Table(columns=columns, rows=rows, notes=notes)


def _rounds(wire: Wire, repository: Repository, rounds: int) -> tuple[dict[str, Series], Series]:
    job = _job(repository)
    took, status = {mode: Series() for mode in _MODES}, Series()
    paths = [repository.path / name_of(number) for number in range(_CHANGED)]
    before = {path: path.read_bytes() for path in paths}
    for number in range(rounds + 1):
        edit(repository, 500 + number, f"# round {number}")
        seconds = {mode: _apply(wire, job, mode, number) for mode in _MODES}
        _put_back(before)
        looked = took_s(lambda: repository.git("status", "--porcelain"))
        if number:  # the first round reads what the others find read
            status.add(looked)
            for mode, value in seconds.items():
                took[mode].add(value)
    return took, status


def _job(repository: Repository) -> str:
    """A job that ended. Its first snapshot is of all files, longer than a call may take."""
    names = " ".join(name_of(number) for number in range(_CHANGED))
    command = f"for f in {names}; do sed -i '2s/.*/# of the job/' $f; done"
    done = subprocess.run(
        [OURS[0], "submit", "command", "--json", command],
        cwd=repository.path,
        env=repository.env,
        capture_output=True,
        timeout=_PATIENCE_S,
        check=True,
    )
    return json.loads(done.stdout)["job_id"]


def _apply(wire: Wire, job: str, mode: str, number: int) -> float:
    answers: list[dict[str, Any]] = []
    order = {"job_id": job, "mode": mode, "branch": f"round-{number}"}
    seconds = took_s(lambda: answers.append(wire.call("apply_patch", order)))
    assert answers[0]["ok"], answers[0]
    assert answers[0]["files"] == _CHANGED, answers[0]
    return seconds


def _put_back(contents: dict[Path, bytes]) -> None:
    for path, content in contents.items():
        path.write_bytes(content)
