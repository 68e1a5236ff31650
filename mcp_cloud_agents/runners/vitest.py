"""vitest: its JUnit reporter beside the default one; files that do not load are failures in it.

JUnit names files as vitest's own root folder does; its JSON reporter tells where that lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import junit, node, untrusted

if TYPE_CHECKING:
    from mcp_cloud_agents.runners.runner import ReportFolder

_JUNIT, _JSON = "junit.xml", "vitest.json"
_PATH_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class _File:
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Report:
    testResults: tuple[_File, ...] = ()  # vitest's name


class VitestRunner(node.NodeRunner):
    """See `runner.Runner`."""

    name = "vitest"
    usual = "npx vitest run"
    subcommands = frozenset({"run", "watch", "dev", "related"})
    arguments = (
        f"--run --reporter=default --reporter=junit --outputFile.junit={{report}}/{_JUNIT} "
        f"--reporter=json --outputFile.json={{report}}/{_JSON}"
    )
    """`--run`: never wait for changes."""

    def read(self, report: ReportFolder) -> TestReport:
        """The JUnit file; it is written when all files have ended."""
        data = report.read(_JUNIT, junit.MAX_BYTES + 1)
        if data is None:
            return TestReport(problem="vitest left no report")
        document = junit.parse(data)
        root = _root(report, document) or self._inside.cwd
        cases = junit.worst(list(map(partial(self._case, root=root), document.entries)))
        return TestReport(cases=cases, complete=not document.problem, problem=document.problem)

    def _case(self, entry: junit.Entry, *, root: str) -> TestCase:
        bad = entry.outcome in (Outcome.FAILED, Outcome.ERROR)
        tree = self._inside.tree
        place = untrusted.first_frame(entry.text, node.FRAMES, tree=tree, base=root)
        file = untrusted.inside(entry.classname, tree=tree, base=root)
        not_loaded = bad and entry.name == entry.classname
        title = file or entry.classname
        test = title if not_loaded else f"{title} > {entry.name}"
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


def _root(report: ReportFolder, document: junit.Document) -> str:
    """Vitest's root folder: what the files' full names have in front of their short ones."""
    data = report.read(_JSON, junit.MAX_BYTES + 1) or b""
    try:
        told = node.decode(data, _Report) if len(data) <= junit.MAX_BYTES else _Report()
    except node.UNREADABLE:
        return ""
    short = {entry.classname for entry in document.entries}
    names = [file.name[:_PATH_CHARS] for file in told.testResults]
    folders = names[0].split("/")[:-1] if names else []
    for at in range(1, len(folders) + 1):
        root = "/".join(folders[:at])
        if all(name.startswith(f"{root}/") and name[len(root) + 1 :] in short for name in names):
            return root
    return ""
