"""jest: its own JSON report, which also names the files that did not load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import junit, node, untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.runners.runner import ReportFolder

_FILE = "jest.json"
_MAX_BYTES = 32 << 20
_OUTCOMES = {"passed": Outcome.PASSED, "failed": Outcome.FAILED}
_OWN_FRAME = ("node_modules/", "node:internal", "(native)", "<anonymous>)")


@dataclass(frozen=True, slots=True)
class _Location:
    line: int = 0


@dataclass(frozen=True, slots=True)
class _Assertion:
    fullName: str = ""  # jest's names
    status: str = ""
    duration: float | None = None
    location: _Location | None = None
    failureMessages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    name: str = ""
    status: str = ""
    message: str = ""
    assertionResults: tuple[_Assertion, ...] = ()


@dataclass(frozen=True, slots=True)
class _Report:
    testResults: tuple[_File, ...]
    numTotalTestSuites: int = 0
    wasInterrupted: bool = False


class JestRunner(node.NodeRunner):
    """See `runner.Runner`."""

    name = "jest"
    usual = "npx jest"
    arguments = f"--ci --json --outputFile={{report}}/{_FILE} --testLocationInResults"
    """What people read still goes to the output."""

    def read(self, report: ReportFolder) -> TestReport:
        """The JSON report; jest writes it at the very end."""
        data = report.read(_FILE, _MAX_BYTES + 1)
        if data is None:
            return TestReport(problem="jest left no report")
        if len(data) > _MAX_BYTES:
            return TestReport(problem=f"The report is larger than {_MAX_BYTES >> 20} MiB.")
        try:
            told = node.decode(data, _Report)
        except node.UNREADABLE as exc:
            return TestReport(
                problem=f"The report cannot be read: {untrusted.name(str(exc))[:200]}"
            )
        cases = [case for file in told.testResults for case in self._cases(file)]
        if len(cases) > untrusted.MAX_CASES:
            return TestReport(problem=f"The report has over {untrusted.MAX_CASES} tests.")
        whole = len(told.testResults) >= told.numTotalTestSuites and not told.wasInterrupted
        return TestReport(cases=junit.worst(cases), complete=whole)

    def _cases(self, file: _File) -> Iterator[TestCase]:
        path = untrusted.inside(file.name, tree=self._inside.tree)
        title = path or untrusted.name(file.name)
        for one in file.assertionResults:
            yield self._case(one, title, path)
        if file.status == "failed" and all(one.status != "failed" for one in file.assertionResults):
            yield self._not_loaded(file, title, path)

    def _case(self, one: _Assertion, title: str, path: str | None) -> TestCase:
        outcome = _OUTCOMES.get(one.status, Outcome.SKIPPED)
        test = untrusted.name(f"{title} > {one.fullName}")
        duration_s = untrusted.seconds((one.duration or 0.0) / 1000)
        if outcome is not Outcome.FAILED:
            return TestCase(id=test, outcome=outcome, duration_s=duration_s, file=path)
        text = "\n".join(one.failureMessages[:3])
        place = untrusted.first_frame(text, node.FRAMES, tree=self._inside.tree)
        message = untrusted.message(_without_frames(text))
        defined = one.location.line if one.location else None
        return TestCase(
            id=test,
            outcome=outcome,
            duration_s=duration_s,
            file=place[0] if place else path,
            line=place[1] if place else defined,
            kind=node.kind(message),
            message=message,
            details=_details(text),
        )

    def _not_loaded(self, file: _File, title: str, path: str | None) -> TestCase:
        root = node.root_of(file.name, file.message) if path else ""
        place = untrusted.first_frame(file.message, node.FRAMES, tree=self._inside.tree, base=root)
        told = [line.strip() for line in untrusted.lines(file.message)]
        reasons = [line for line in told if line and not line.startswith("●")]
        return TestCase(
            id=title,
            outcome=Outcome.ERROR,
            file=place[0] if place else path,
            line=place[1] if place else None,
            kind=FailureKind.COLLECTION,
            message=untrusted.message(reasons[0] if reasons else "The file could not be loaded."),
            details=_details(file.message),
        )


def _without_frames(text: str) -> str:
    return text.split("\n    at ", 1)[0]


def _details(text: str) -> tuple[str, ...]:
    """The lines of a failure without those of the runner's own stack."""
    shown = [line for line in untrusted.lines(text) if not any(own in line for own in _OWN_FRAME)]
    return tuple(shown[: untrusted.MAX_DETAILS])
