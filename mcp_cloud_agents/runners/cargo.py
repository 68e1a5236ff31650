"""cargo test: read from the text it prints; JSON needs a nightly compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import shell, untrusted
from mcp_cloud_agents.runners.cargo_output import PANIC, CargoOutput
from mcp_cloud_agents.runners.runner import Inside, Instrumented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.runners.cargo_output import RustTest
    from mcp_cloud_agents.runners.runner import LogFilter, ReportFolder, Tool

_OUTCOMES = {"ok": Outcome.PASSED, "FAILED": Outcome.FAILED, "ignored": Outcome.SKIPPED}


class CargoRunner:
    """See `runner.Runner`."""

    name = "cargo"

    def __init__(self, inside: Inside | None = None) -> None:
        self._inside = inside or Inside()
        self._output = CargoOutput()

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """`cargo test`."""
        del files
        return any(_test_at(call) is not None for call in shell.calls(command))

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """A Cargo.toml at the top."""
        del files
        return "cargo test" if "Cargo.toml" in names else None

    def instrument(self, command: str) -> Instrumented:
        """`--no-fail-fast`: a failing target must not hide those after it."""
        calls = [(call, at) for call in shell.calls(command) if (at := _test_at(call)) is not None]
        if any(call.piped for call, _ in calls):
            return Instrumented(command=command, notes=(_NOTE,))
        for call, at in reversed(calls):
            for word in reversed(_quiet(call)):  # dots do not name tests
                command = command[: word.start] + command[word.end :]
            if "--no-fail-fast" not in call.arguments:
                command = shell.insert(command, call.words[at].end, "--no-fail-fast")
        return Instrumented(command=command)

    def tools(self) -> tuple[Tool, ...]:
        """None: cargo prints what is needed."""
        return ()

    def log_filter(self) -> LogFilter | None:
        """Reads along, changes nothing."""
        return self._output

    def read(self, report: ReportFolder) -> TestReport:
        """What passed the filter; complete when every block of tests has its result line."""
        del report
        output = self._output
        if not output.blocks:
            return TestReport(problem=output.error() or "cargo ran no tests")
        return TestReport(
            cases=tuple(self._case(test) for test in output.tests.values()),
            complete=output.closed,
            expected=output.expected,
            problem=_problem(output),
        )

    def _case(self, test: RustTest) -> TestCase:
        outcome = _OUTCOMES[test.result]
        bad = outcome is Outcome.FAILED
        text = "".join(test.output)
        place = untrusted.first_frame(text, (PANIC,), tree=self._inside.tree) if bad else None
        shown = [line for line in untrusted.lines(text) if line]
        message = _message(shown) if bad else ""
        return TestCase(
            id=untrusted.name(test.id),
            outcome=outcome,
            file=place[0] if place else untrusted.inside(test.file, tree=self._inside.tree),
            line=place[1] if place else None,
            kind=_kind(message) if bad else None,
            message=untrusted.message(message),
            details=tuple(shown[: untrusted.MAX_DETAILS]) if bad else (),
        )


_NOTE = "The output of cargo test is piped: it cannot be read as a report; pass a plain cargo test."


def _problem(output: CargoOutput) -> str:
    if output.overflowed:
        return "More tests than are kept"
    if output.died and not output.closed:
        return f"A test program was killed ({untrusted.name(output.died)})"
    return ""


def _test_at(call: shell.Call) -> int | None:
    """Index of `test` in the words of `cargo [+toolchain] [options] test`."""
    if call.name != "cargo":
        return None
    for at in range(call.at + 1, len(call.words)):
        word = call.words[at].value
        if word in ("test", "t"):
            return at
        if not word.startswith(("+", "-")):
            return None
    return None


def _quiet(call: shell.Call) -> list[shell.Word]:
    """The words that tell cargo (not the test programs, behind `--`) to print less."""
    values = [word.value for word in call.words]
    own = call.words[: values.index("--")] if "--" in values else call.words
    return [word for word in own[call.at + 2 :] if word.value in ("-q", "--quiet")]


def _message(shown: list[str]) -> str:
    """What stands behind the first panic, up to the note on backtraces."""
    at = next((number for number, line in enumerate(shown) if PANIC.search(line)), None)
    if at is None:
        return shown[0] if shown else ""
    told: list[str] = []
    for line in shown[at + 1 : at + 6]:
        if line.startswith(("note: ", "stack backtrace:", "thread '")):
            break
        told.append(line)
    return "\n".join(told)


def _kind(message: str) -> FailureKind:
    return FailureKind.ASSERT if message.startswith("assertion") else FailureKind.ERROR
