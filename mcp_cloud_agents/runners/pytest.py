"""pytest: instrumented by environment, so that `make test` and scripts leave a report as well.

The JUnit file is written when the run closes; our plugin's lines tell what a run that never
closed had done, exact ids, and where failures are.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import events, junit, python_frames, shell, untrusted
from mcp_cloud_agents.runners.runner import Inside, Instrumented, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.runners.runner import LogFilter, ReportFolder

_JUNIT = "junit.xml"
_MANIFESTS = ("pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "Pipfile")
_CONFIG = {"pyproject.toml": b"[tool.pytest", "setup.cfg": b"[tool:pytest]", "tox.ini": b"[pytest]"}
_NEEDS = re.compile(rb"(?i)(?<![\w.-])pytest(?![\w.])")
_OUTCOMES = {"passed": Outcome.PASSED, "skipped": Outcome.SKIPPED}
_ASSERTS = ("AssertionError", "assert ", "Failed: DID NOT", "DID NOT")


class PytestRunner:
    """See `runner.Runner`."""

    name = "pytest"

    def __init__(self, inside: Inside | None = None) -> None:
        self._inside = inside or Inside()

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """`pytest` or `python -m pytest`, through any launcher."""
        del files
        return any(call.name in ("pytest", "py.test") for call in shell.calls(command))

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """A pytest configuration, a conftest.py, or pytest among the requirements."""
        configured = (
            bool({"pytest.ini", ".pytest.ini"} & names)
            or any(path.rsplit("/", 1)[-1] == "conftest.py" for path in names)
            or any(mark in files.get(file, b"") for file, mark in _CONFIG.items())
            or any(_NEEDS.search(data) for file, data in files.items() if _is_manifest(file))
        )
        return "python3 -m pytest" if configured else None

    def instrument(self, command: str) -> Instrumented:
        """The environment; and the same where the command line itself sets these variables."""
        options = ("-o", "junit_family=xunit1", f"--junitxml={self._inside.report}/{_JUNIT}")
        folder = f"{self._inside.tools}/{self.name}"
        command = shell.prepend(command, "PYTHONPATH", folder, ":")
        command = shell.prepend(command, "PYTEST_ADDOPTS", "\\ ".join(options), "\\ ")
        command = shell.prepend(command, "PYTEST_PLUGINS", "job_report", ",")
        return Instrumented(
            command=command,
            env=(
                ("PYTEST_ADDOPTS", " ".join(options)),
                ("PYTEST_PLUGINS", "job_report"),
                ("PYTHONPATH", folder),
                ("JOB_REPORT", f"{self._inside.report}/{events.FILE}"),
                ("JOB_REPORT_ADDOPTS", " ".join(options)),
            ),
        )

    def tools(self) -> tuple[Tool, ...]:
        """The plugin's folder."""
        host = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools", self.name)
        return (Tool(name=self.name, host=host, inside=f"{self._inside.tools}/{self.name}"),)

    def log_filter(self) -> LogFilter | None:
        """None: pytest reports to files."""
        return None

    def read(self, report: ReportFolder) -> TestReport:
        """The JUnit file and the plugin's lines, merged: the worst outcome of each id counts."""
        told = events.told(report.read(events.FILE, events.MAX_BYTES) or b"")
        data = report.read(_JUNIT, junit.MAX_BYTES + 1)
        document = junit.parse(data) if data is not None else junit.Document(problem=_missing(told))
        reading = _Reading(told, self._inside.tree)
        # A test in which pytest.exit() was called stands in the file without name and outcome.
        named = [one for one in document.entries if one.name or one.outcome is not Outcome.PASSED]
        found = [reading.from_entry(entry) for entry in named]
        cases = junit.worst([*found, *map(reading.from_step, reading.steps())])
        missing = max(told.expected - told.ended, 0)
        return TestReport(
            cases=cases,
            complete=not document.problem and told.closed,
            unfinished=tuple(untrusted.name(test) for test in told.unfinished[:100]),
            expected=len(cases) + missing if told.sessions else None,
            problem=document.problem,
        )


class _Reading:
    """Turns both sources into cases of one kind."""

    def __init__(self, told: events.Told, tree: str) -> None:
        self._told = told
        self._tree = tree
        self._base = told.roots[-1] if told.roots else ""
        self._cwd = told.folders[-1] if told.folders else ""
        self._ids: dict[tuple[str, str], str] = {}
        self._known = set[str]()
        self._files: dict[str, str | None] = {}
        self._frames: dict[tuple[str, str], tuple[str, int]] = {}
        for step in told.steps:
            self._learn(step)
        for test in told.running:
            self._ids.setdefault(_mangled(test), test)

    def steps(self) -> list[events.Event]:
        """What may say more than the JUnit file: reruns are no outcome, and a pass is the least."""
        return [
            step
            for step in self._told.steps
            if step.outcome != "rerun" and (step.outcome != "passed" or step.id not in self._known)
        ]

    def from_entry(self, entry: junit.Entry) -> TestCase:
        """A case of the JUnit file, under pytest's own id."""
        test = self._ids.get((entry.classname, entry.name)) or _node_id(entry)
        self._known.add(test)
        collection = not entry.classname and entry.message == "collection failure"
        bad = entry.outcome in (Outcome.FAILED, Outcome.ERROR)
        text = untrusted.lines(entry.text) if bad or collection else []
        place = self._place(test, entry) if bad else None
        message = _last_error(text) if collection else entry.message
        return TestCase(
            id=untrusted.name(test),
            outcome=entry.outcome,
            duration_s=untrusted.seconds(entry.time),
            file=place[0] if place else self._inside(entry.file or test.split("::")[0]),
            line=place[1] if place else None,
            kind=_kind(message, collection=collection) if bad else None,
            message=untrusted.message(message),
            details=untrusted.around(text, r"E |>") if bad else (),
        )

    def from_step(self, step: events.Event) -> TestCase:
        """The outcome of one phase, where the JUnit file is missing or knows less."""
        test, collection = step.id or "", step.phase == "collect"
        own = Outcome.FAILED if step.phase in ("call", events.CRASHED) else Outcome.ERROR
        outcome = _OUTCOMES.get(step.outcome, own)
        bad = outcome in (Outcome.FAILED, Outcome.ERROR)
        text = untrusted.lines(step.message) if bad or collection else []
        place = self._frames.get((test, step.phase))
        if place is None and bad:
            place = self._first_frame(step.message)
        return TestCase(
            id=untrusted.name(test),
            outcome=outcome,
            duration_s=untrusted.seconds(step.s),
            file=place[0] if place else self._inside(test.split("::")[0]),
            line=place[1] if place and bad else None,
            kind=_kind(step.message, collection=collection) if bad else None,
            message=untrusted.message(_last_error(text) if collection else step.message),
            details=untrusted.around(text, r"E |>") if bad else (),
        )

    def _learn(self, step: events.Event) -> None:
        test = step.id or ""
        self._ids.setdefault(_mangled(test), test)
        for path, line in step.frames:
            file = self._inside(path)
            if file is not None and 0 < line < 10_000_000:
                self._frames.setdefault((test, step.phase), (file, line))
                return

    def _place(self, test: str, entry: junit.Entry) -> tuple[str, int] | None:
        """Where it failed; at least where it is defined."""
        place = self._frames.get((test, _phase(entry))) or self._first_frame(entry.text)
        file = self._inside(entry.file)
        if place is None and file is not None and entry.line is not None:
            return file, entry.line + 1
        return place

    def _first_frame(self, text: str) -> tuple[str, int] | None:
        return untrusted.first_frame(text, python_frames.PATTERNS, tree=self._tree, base=self._cwd)

    def _inside(self, path: str) -> str | None:
        if path not in self._files:
            self._files[path] = untrusted.inside(path, tree=self._tree, base=self._base)
        return self._files[path]


def _mangled(test: str) -> tuple[str, str]:
    """Class name and name that pytest's JUnit writer makes of an id."""
    path, bracket, parameters = test.partition("[")
    names = path.split("::")
    names[0] = names[0].replace("/", ".").removesuffix(".py")
    names[-1] += bracket + parameters
    return ".".join(names[:-1]), names[-1]


def _node_id(entry: junit.Entry) -> str:
    """The id pytest itself uses, derived from the file and class name of `junit_family=xunit1`."""
    if not entry.file or not entry.classname:
        return entry.name
    classes = entry.classname.removeprefix(entry.file.removesuffix(".py").replace("/", "."))
    return "::".join([entry.file, *filter(None, classes.split(".")), entry.name])


def _phase(entry: junit.Entry) -> str:
    found = re.match(r"failed on (setup|teardown) with ", entry.message)
    return found[1] if found else "call"


def _kind(message: str, *, collection: bool) -> FailureKind:
    text = re.sub(r'^failed on (?:setup|teardown) with "', "", message)
    if collection:
        return FailureKind.COLLECTION
    if text.startswith("Failed: Timeout") or "from pytest-timeout" in text[:200]:
        return FailureKind.TIMEOUT
    if re.match(r"worker '[^']*' crashed while running", text):
        return FailureKind.CRASH
    return FailureKind.ASSERT if text.startswith(_ASSERTS) else FailureKind.ERROR


def _last_error(text: list[str]) -> str:
    """The last line pytest marks as the error itself; it tells what is wrong with a file."""
    marked = [line[1:].strip() for line in text if line.startswith("E ")]
    return marked[-1] if marked else next((line for line in reversed(text) if line), "")


def _missing(told: events.Told) -> str:
    """A command with a --junitxml of its own leaves none for us; then our lines are enough."""
    if told.sessions and told.closed:
        return ""
    if told.sessions:
        return "pytest started and ended without closing its report"
    return "pytest left no report"


def _is_manifest(path: str) -> bool:
    return path in _MANIFESTS or (path.endswith((".txt", ".in")) and "require" in path)
