"""unittest: run by xmlrunner instead, which takes the same arguments and writes a JUnit file."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import junit, python_frames, shell, untrusted
from mcp_cloud_agents.runners.runner import Inside, Instrumented, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.runners.runner import LogFilter, ReportFolder

_JUNIT = "junit.xml"
_TEST_FILE = re.compile(r"(?:^|/)test[^/]*\.py$")
_PROJECTS = {"pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile"}
_OTHERS = {"package.json", "go.mod", "Cargo.toml"}
_SUBTEST_SAID, _SUB_CHARS = "subTest ", 200
_SUBTEST = re.compile(r"(?P<test>\w+) (?P<sub>[\[(].*)", re.DOTALL)
_NOT_LOADED = "unittest.loader._FailedTest."


class UnittestRunner:
    """See `runner.Runner`."""

    name = "unittest"

    def __init__(self, inside: Inside | None = None) -> None:
        self._inside = inside or Inside()

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """`python -m unittest`, through any launcher."""
        del files
        return any(_is_run(call) for call in shell.calls(command))

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """Python files whose names begin with `test`, in a project of no other language."""
        del files
        found = sorted(path for path in names if _TEST_FILE.search(path))
        if not found or (_OTHERS & names and not _PROJECTS & names):
            return None
        for path in found:  # discovery from the top only enters packages
            folders = path.split("/")[:-1]
            if all(
                "/".join([*folders[: n + 1], "__init__.py"]) in names for n in range(len(folders))
            ):
                return "python3 -m unittest"
        return f"python3 -m unittest discover -s {found[0].split('/')[0]}"

    def instrument(self, command: str) -> Instrumented:
        """`-m unittest …` becomes `-m xmlrunner … --output-file`."""
        folder, written = f"{self._inside.tools}/xmlrunner", f"{self._inside.report}/{_JUNIT}"
        calls = [call for call in shell.calls(command) if _is_run(call)]
        if len(calls) != 1:
            return Instrumented(command=command, notes=(_NOTE,))
        call, module = calls[0], calls[0].words[calls[0].at]
        changed = shell.insert(command, call.words[-1].end, f"--output-file {written}")
        changed = changed[: module.start] + "xmlrunner" + changed[module.end :]
        return Instrumented(
            command=shell.prepend(changed, "PYTHONPATH", folder, ":"),
            env=(("PYTHONPATH", folder),),
        )

    def tools(self) -> tuple[Tool, ...]:
        """The package xmlrunner alone: it needs nothing else of where it is installed."""
        import xmlrunner

        host = os.path.dirname(os.path.abspath(xmlrunner.__file__))
        inside = f"{self._inside.tools}/xmlrunner/xmlrunner"
        return (Tool(name="xmlrunner", host=host, inside=inside),)

    def log_filter(self) -> LogFilter | None:
        """None: xmlrunner reports to a file."""
        return None

    def read(self, report: ReportFolder) -> TestReport:
        """The JUnit file; it is written when all tests have ended."""
        data = report.read(_JUNIT, junit.MAX_BYTES + 1)
        if data is None:
            return TestReport(problem="unittest left no report")
        document = junit.parse(data)
        cases = _folded([self._case(entry) for entry in document.entries])
        return TestReport(cases=cases, complete=not document.problem, problem=document.problem)

    def _case(self, entry: junit.Entry) -> TestCase:
        bad = entry.outcome in (Outcome.FAILED, Outcome.ERROR)
        tree, cwd = self._inside.tree, self._inside.cwd
        place = untrusted.first_frame(entry.text, python_frames.PATTERNS, tree=tree, base=cwd)
        file = untrusted.inside(entry.file, tree=tree, base=cwd)
        name, sub = _split(entry)
        test = f"{entry.classname}.{name}".strip(".")
        not_loaded = bad and test.startswith(_NOT_LOADED)
        text = untrusted.lines(entry.text)
        return TestCase(
            id=untrusted.name(test.removeprefix(_NOT_LOADED)),
            outcome=entry.outcome,
            duration_s=untrusted.seconds(entry.time),
            file=place[0] if bad and place else file,
            line=(place[1] if place else entry.line) if bad else None,
            kind=_kind(entry, not_loaded=not_loaded) if bad else None,
            message=untrusted.message(sub + (text[-1] if not_loaded else entry.titled)),
            details=untrusted.around(text, r"\w*Error\b") if bad else (),
        )


def _split(entry: junit.Entry) -> tuple[str, str]:
    """The test's name, and what to say first of the subtest; `setUpClass (T)` is no subtest.

    xmlrunner reports a subtest that fails or skips as a test of its own, `test_x [message] (i=1)`,
    and says nothing of one that passes.
    """
    found = _SUBTEST.match(entry.name) if entry.classname else None
    if found is None:
        return entry.name, ""
    return found["test"], f"{_SUBTEST_SAID}{found['sub'][:_SUB_CHARS]}: "


def _folded(cases: list[TestCase]) -> tuple[TestCase, ...]:
    """One case a test, as unittest counts them: the worst, saying how many subtests are as bad."""
    many = Counter((case.id, case.outcome) for case in cases)
    return tuple(
        replace(case, message=f"{case.message} (and {more} more of its subtests)")
        if (more := many[case.id, case.outcome] - 1) and case.message.startswith(_SUBTEST_SAID)
        else case
        for case in junit.worst(cases)
    )


_NOTE = "Several runs of unittest in one command: there is no report; pass one run at a time."


def _is_run(call: shell.Call) -> bool:
    return call.module and call.name == "unittest"


def _kind(entry: junit.Entry, *, not_loaded: bool) -> FailureKind:
    if not_loaded:
        return FailureKind.COLLECTION
    return FailureKind.ASSERT if entry.outcome is Outcome.FAILED else FailureKind.ERROR
