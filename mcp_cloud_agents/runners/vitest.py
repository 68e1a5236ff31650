"""vitest: its JUnit reporter beside the default one; files that do not load are failures in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import junit, node, untrusted
from mcp_cloud_agents.runners.runner import Inside, Instrumented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.runners.runner import LogFilter, ReportFolder, Tool

_JUNIT = "junit.xml"
_SUBCOMMANDS = frozenset({"run", "watch", "dev", "related"})


class VitestRunner:
    """See `runner.Runner`."""

    name = "vitest"

    def __init__(self, inside: Inside | None = None) -> None:
        self._inside = inside or Inside()

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """`vitest` through any launcher, or a script that ends in it."""
        return node.recognises(self.name, command, files)

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """A test script that ends in vitest, or vitest among the dependencies."""
        del names
        return node.detect(self.name, "npx vitest run", files)

    def instrument(self, command: str) -> Instrumented:
        """Arguments for the JUnit reporter; `--run`: never wait for changes."""
        written = f"{self._inside.report}/{_JUNIT}"
        arguments = f"--run --reporter=default --reporter=junit --outputFile.junit={written}"
        return node.instrument(self.name, command, arguments, _SUBCOMMANDS)

    def tools(self) -> tuple[Tool, ...]:
        """None: vitest writes the report itself."""
        return ()

    def log_filter(self) -> LogFilter | None:
        """None: vitest reports to a file."""
        return None

    def read(self, report: ReportFolder) -> TestReport:
        """The JUnit file; it is written when all files have ended."""
        data = report.read(_JUNIT, junit.MAX_BYTES + 1)
        if data is None:
            return TestReport(problem="vitest left no report")
        document = junit.parse(data)
        cases = junit.worst([self._case(entry) for entry in document.entries])
        return TestReport(cases=cases, complete=not document.problem, problem=document.problem)

    def _case(self, entry: junit.Entry) -> TestCase:
        bad = entry.outcome in (Outcome.FAILED, Outcome.ERROR)
        place = untrusted.first_frame(entry.text, node.FRAMES, tree=self._inside.tree)
        file = untrusted.inside(entry.classname, tree=self._inside.tree)
        not_loaded = bad and entry.name == entry.classname
        test = entry.classname if not_loaded else f"{entry.classname} > {entry.name}"
        return TestCase(
            id=untrusted.name(test),
            outcome=Outcome.ERROR if not_loaded else entry.outcome,
            duration_s=untrusted.seconds(entry.time),
            file=place[0] if bad and place else file,
            line=place[1] if bad and place else None,
            kind=_kind(entry, not_loaded=not_loaded) if bad else None,
            message=untrusted.message(entry.titled),
            details=tuple(untrusted.lines(entry.text)[: untrusted.MAX_DETAILS]) if bad else (),
        )


def _kind(entry: junit.Entry, *, not_loaded: bool) -> FailureKind:
    return FailureKind.COLLECTION if not_loaded else node.kind(entry.titled)
