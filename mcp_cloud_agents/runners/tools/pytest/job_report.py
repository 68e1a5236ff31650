"""A pytest plugin: a JSON line at each step, so that a run that died still tells what it ran.

It runs inside the tested project's own Python (3.8 or later) and imports nothing of ours.
It reads JOB_REPORT, the file to write to, and then takes itself out of the environment, so that
pytest processes which the tests themselves start write no report.
"""

# ruff: noqa: TID251  settings.py does not exist where this runs

from __future__ import annotations

import json
import os
from typing import Any

import pytest

_MAX_FRAMES = 20
_MAX_MESSAGE = 2_000
_json = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make one for each line


def pytest_configure(config: Any) -> None:
    """Begin, once: workers of pytest-xdist report through their controller."""
    path = os.environ.get("JOB_REPORT")
    if hasattr(config, "workerinput") or not path:
        return
    _leave_environment()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    try:
        out = os.open(path, flags, 0o644)
    except OSError:
        return
    cwd = os.getcwd()
    lines = _Lines(out, cwd)
    root = str(getattr(config, "rootpath", None) or config.rootdir)
    lines.put(session=root, cwd=cwd)
    config.pluginmanager.register(lines, "job_report_lines")


def _leave_environment() -> None:
    os.environ.pop("JOB_REPORT", None)
    options = os.environ.pop("JOB_REPORT_ADDOPTS", "")
    _set("PYTEST_ADDOPTS", os.environ.get("PYTEST_ADDOPTS", "").replace(options, "").strip())
    _remove("PYTEST_PLUGINS", ",", __name__)
    _remove("PYTHONPATH", os.pathsep, os.path.dirname(os.path.abspath(__file__)))


def _remove(variable: str, separator: str, mine: str) -> None:
    parts = os.environ.get(variable, "").split(separator)
    _set(variable, separator.join(part for part in parts if part != mine))


def _set(variable: str, value: str) -> None:
    if value:
        os.environ[variable] = value
    else:
        os.environ.pop(variable, None)


class _Lines:
    def __init__(self, out: int, cwd: str) -> None:
        self._out = out
        self._cwd = cwd
        self._collected = False
        self._waiting = ""

    def put(self, **line: object) -> None:
        text = self._waiting + _json(line) + "\n"
        self._waiting = ""
        try:
            os.write(self._out, text.encode("utf-8", "replace"))
        except OSError:  # a full disk must not fail the tests
            return

    def _total(self, count: int) -> None:
        if count and not self._collected:
            self._collected = True
            self.put(total=count)

    def pytest_collection_finish(self, session: Any) -> None:
        if not session.config.option.collectonly:
            self._total(len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        self._total(len(ids))

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            message = str(report.longrepr)[-_MAX_MESSAGE:]
            self.put(id=report.nodeid, phase="collect", outcome="failed", message=message)

    def pytest_runtest_logstart(self, nodeid: str, location: object) -> None:
        self.put(start=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.outcome == "passed":
            if report.when == "call":
                seconds = round(report.duration, 4)
                self.put(id=report.nodeid, phase="call", outcome="passed", s=seconds)
            return
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else _text(report)
        self.put(
            id=report.nodeid,
            phase=report.when,
            outcome=report.outcome,
            s=round(report.duration, 4),
            message=text[:_MAX_MESSAGE],
            frames=_frames(report.longrepr, crash, self._cwd) if report.failed else [],
        )

    def pytest_runtest_logfinish(self, nodeid: str, location: object) -> None:
        # Written with the next line: nothing of a test runs in between.
        self._waiting += _json({"end": nodeid}) + "\n"

    def pytest_sessionfinish(self, session: object, exitstatus: int) -> None:
        self.put(finish=int(exitstatus))


def _text(report: Any) -> str:
    """What there is without a traceback; a skip is a triple of path, line and reason."""
    triple = isinstance(report.longrepr, tuple)
    return str((report.longrepr[2] if triple else report.longrepr) or "")


def _frames(longrepr: Any, crash: Any, cwd: str) -> list[list[Any]]:
    """File and line of each frame that pytest shows, outermost first; the crash as the last.

    pytest names files relative to where it was started, unless a test has changed the folder.
    """
    entries = getattr(getattr(longrepr, "reprtraceback", None), "reprentries", [])
    places = [getattr(entry, "reprfileloc", None) for entry in entries]
    found: list[list[Any]] = [
        [os.path.join(cwd, str(place.path)), int(place.lineno)]
        for place in [*places, crash]
        if place
    ]
    return found[:_MAX_FRAMES]
