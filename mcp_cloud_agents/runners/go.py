"""go test: run with `-json`; the log gets the text out of the JSON, and we keep the events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import shell, untrusted
from mcp_cloud_agents.runners.go_events import GoEvents
from mcp_cloud_agents.runners.runner import Inside, Instrumented

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mcp_cloud_agents.runners.go_events import GoTest
    from mcp_cloud_agents.runners.runner import LogFilter, ReportFolder, Tool

_PACKAGES = "packages"
_MAX_BYTES = 4 << 20
_OUTCOMES = {"pass": Outcome.PASSED, "skip": Outcome.SKIPPED, "fail": Outcome.FAILED}
_FRAMES = (
    re.compile(r"^\s*(?P<path>[^\s:]+\.go):(?P<line>\d+)(?::\d+)?:"),
    re.compile(r"^\t(?P<path>/[^\s:]+\.go):(?P<line>\d+)"),
)
_SAID = re.compile(r"^\s*\S+\.go:\d+(?::\d+)?: ?")
_NOISE = re.compile(r"^\s*(?:===|---) ")


class GoRunner:
    """See `runner.Runner`."""

    name = "go"

    def __init__(self, inside: Inside | None = None) -> None:
        self._inside = inside or Inside()
        self._events = GoEvents()

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """`go test`."""
        del files
        return any(_is_run(call) for call in shell.calls(command))

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """A go.mod at the top, and test files."""
        del files
        tests = any(path.endswith("_test.go") for path in names)
        return "go test ./..." if tests and "go.mod" in names else None

    def instrument(self, command: str) -> Instrumented:
        """`-json -count=1`, and a list of which package lies where."""
        calls = [call for call in shell.calls(command) if _is_run(call)]
        if len(calls) != 1 or calls[0].piped:
            return Instrumented(command=command, notes=(_NOTE,))
        call, test = calls[0], calls[0].words[calls[0].at + 1]
        wanted = [flag for flag in ("-json", "-count=1") if not _has(call, flag)]
        start, end = call.start, call.end
        before, behind = command[start : test.end], command[test.end : end]
        listed = (
            "go list -find -f '{{.ImportPath}} {{.Dir}}' ./... "
            f">{self._inside.report}/{_PACKAGES} 2>/dev/null"
        )
        run = " ".join([before, *wanted]) + behind
        return Instrumented(command=f"{command[:start]}{{ {listed}; {run}; }}{command[end:]}")

    def tools(self) -> tuple[Tool, ...]:
        """None: go prints what is needed."""
        return ()

    def log_filter(self) -> LogFilter | None:
        """Reads the events, lets their text through."""
        return self._events

    def read(self, report: ReportFolder) -> TestReport:
        """What passed the filter; complete when every package that began has ended."""
        folders = _folders(report.read(_PACKAGES, _MAX_BYTES) or b"")
        tests, events = self._events.tests(), self._events
        cases = [self._case(test, folders) for test in tests if test.action]
        cases += list(self._broken())
        unfinished = [_id(test) for test in tests if not test.action]
        problem = "" if events.seen else "go left no report"
        return TestReport(
            cases=tuple(cases),
            complete=events.seen and events.closed,
            unfinished=tuple(unfinished[:100]),
            problem=problem or ("" if not events.overflowed else "More tests than are kept."),
        )

    def _case(self, test: GoTest, folders: Mapping[str, str]) -> TestCase:
        outcome = _OUTCOMES[test.action]
        duration_s = untrusted.seconds(test.elapsed_s)
        if outcome is not Outcome.FAILED:
            return TestCase(id=_id(test), outcome=outcome, duration_s=duration_s)
        text = test.output.text()
        shown = [line for line in untrusted.lines(text) if line and not _NOISE.match(line)]
        news = _news(shown)
        tree = self._inside.tree
        place = untrusted.first_frame(
            "\n".join(news), _FRAMES, tree=tree, base=folders.get(test.package, self._inside.cwd)
        )
        return TestCase(
            id=_id(test),
            outcome=outcome,
            duration_s=duration_s,
            file=place[0] if place else None,
            line=place[1] if place else None,
            kind=_kind(text),
            message=_message(news),
            details=tuple(shown[: untrusted.MAX_DETAILS]),
        )

    def _broken(self) -> Iterator[TestCase]:
        """Packages that did not build, or failed with no failing test to show for it."""
        for package, output in self._events.broken():
            shown = [line for line in untrusted.lines(output) if line and not line.startswith("#")]
            tree, cwd = self._inside.tree, self._inside.cwd
            place = untrusted.first_frame(output, _FRAMES, tree=tree, base=cwd)
            yield TestCase(
                id=untrusted.name(package),
                outcome=Outcome.ERROR,
                file=place[0] if place else None,
                line=place[1] if place else None,
                kind=FailureKind.COLLECTION,
                message=_message(shown[:1]),
                details=tuple(shown[: untrusted.MAX_DETAILS]),
            )


_NOTE = (
    "go test is piped, or called several times: its output cannot be read as a report; "
    "pass one plain 'go test'."
)


def _is_run(call: shell.Call) -> bool:
    return call.name == "go" and call.arguments[:1] == ("test",)


def _has(call: shell.Call, flag: str) -> bool:
    name = flag.split("=")[0]
    return any(word == name or word.startswith(f"{name}=") for word in call.arguments)


def _id(test: GoTest) -> str:
    return untrusted.name(f"{test.package}.{test.name}")


def _folders(data: bytes) -> dict[str, str]:
    """Import path → absolute folder."""
    found: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        package, space, folder = line.partition(" ")
        if space:
            found[package] = folder
    return found


def _news(shown: list[str]) -> list[str]:
    """From the panic on, else from the last thing the test said: what it logged comes before."""
    said = [at for at, line in enumerate(shown) if _SAID.match(line)]
    panics = (at for at, line in enumerate(shown) if line.startswith("panic: "))
    return shown[next(panics, said[-1] if said else 0) :]


def _message(news: list[str]) -> str:
    if news and news[0].startswith("panic: "):
        return untrusted.message(news[0])
    return untrusted.message(_SAID.sub("", "\n".join(news[:6])))


def _kind(text: str) -> FailureKind:
    if "panic: test timed out" in text:
        return FailureKind.TIMEOUT
    return FailureKind.CRASH if re.search(r"(?m)^panic: ", text) else FailureKind.ASSERT
