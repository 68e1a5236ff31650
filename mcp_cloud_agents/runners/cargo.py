"""cargo test: read from the text it prints; JSON needs a nightly compiler."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import FailureKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.runners import junit, shell, untrusted
from mcp_cloud_agents.runners.cargo_output import PANIC, CargoOutput
from mcp_cloud_agents.runners.runner import Inside, Instrumented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.runners.cargo_output import BrokenTarget, RustTest
    from mcp_cloud_agents.runners.runner import LogFilter, ReportFolder, Tool

_ROOT = "cargo.root"
_MAX_PATH_BYTES = 4_096
_AT = re.compile(r"^ *--> (?P<path>[^\s:]+):(?P<line>\d+):\d+")
_OLD_PANIC = re.compile(r"', (?P<path>[^\s:',]+\.rs):(?P<line>\d+):\d+$")
"""The end of a panic's message before rust 1.73; it begins with `panicked at '`."""
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
        """`--no-fail-fast`: a failing target must not hide others; and a note of the root."""
        calls = [(call, at) for call in shell.calls(command) if (at := _test_at(call)) is not None]
        if any(call.piped for call, _ in calls):
            return Instrumented(command=command, notes=(_NOTE,))
        before = len(command)
        for call, at in reversed(calls):
            for word in reversed(_quiet(call)):  # dots do not name tests
                command = command[: word.start] + command[word.end :]
            if "--no-fail-fast" not in call.arguments:
                command = shell.insert(command, call.words[at].end, "--no-fail-fast")
        if len(calls) == 1:
            call = calls[0][0]
            command = self._located(command, call, call.end + len(command) - before)
        return Instrumented(command=command)

    def _located(self, command: str, call: shell.Call, end: int) -> str:
        """With a note of where the manifest lies: paths in the output start there."""
        program = command[call.words[call.at].start : call.words[call.at].end]
        locate = f"{program} locate-project --workspace --message-format plain{_manifest(call)}"
        noted = f"{locate} >{self._inside.report}/{_ROOT} 2>/dev/null"
        run = command[call.start : end]
        return f"{command[: call.start]}{{ {noted}; {run}; }}{command[end:]}"

    def tools(self) -> tuple[Tool, ...]:
        """None: cargo prints what is needed."""
        return ()

    def log_filter(self) -> LogFilter | None:
        """Reads along, changes nothing."""
        return self._output

    def read(self, report: ReportFolder) -> TestReport:
        """What passed the filter; complete when every block of tests has its result line."""
        output, root = self._output, self._root(report)
        if not output.blocks and not output.broken:
            return TestReport(problem=output.error() or "cargo ran no tests")
        cases = [
            *(self._case(test, root) for test in output.tests.values()),
            *(self._not_compiled(target, root) for target in output.broken),
        ]
        return TestReport(
            cases=junit.worst(cases),
            complete=output.closed,
            expected=output.expected + len(output.broken),
            problem=_problem(output),
        )

    def _root(self, report: ReportFolder) -> str:
        """The folder that cargo's paths start at."""
        told = (report.read(_ROOT, _MAX_PATH_BYTES) or b"").decode("utf-8", "replace").strip()
        return told.rpartition("/")[0] if told.startswith("/") else self._inside.cwd

    def _not_compiled(self, target: BrokenTarget, root: str) -> TestCase:
        text = "\n".join(target.output)
        place = untrusted.first_frame(text, (_AT,), tree=self._inside.tree, base=root)
        return TestCase(
            id=untrusted.name(target.id),
            outcome=Outcome.ERROR,
            file=place[0] if place else None,
            line=place[1] if place else None,
            kind=FailureKind.COLLECTION,
            message=untrusted.message(target.output[0]),
            details=tuple(untrusted.lines(text)[: untrusted.MAX_DETAILS]),
        )

    def _case(self, test: RustTest, root: str) -> TestCase:
        outcome = _OUTCOMES[test.result]
        bad = outcome is Outcome.FAILED
        text = "".join(test.output)
        tree = self._inside.tree
        place = (
            untrusted.first_frame(text, (PANIC, _OLD_PANIC), tree=tree, base=root) if bad else None
        )
        shown = [line for line in untrusted.lines(text) if line]
        message = _message(shown) if bad else ""
        return TestCase(
            id=untrusted.name(test.id),
            outcome=outcome,
            file=place[0] if place else untrusted.inside(test.file, tree=tree, base=root),
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


def _manifest(call: shell.Call) -> str:
    """The option that names another manifest, as it was given."""
    values = [word.value for word in call.words]
    for at, value in enumerate(values):
        if value == "--":
            break
        if value == "--manifest-path" and at + 1 < len(values):
            return f" --manifest-path {shlex.quote(values[at + 1])}"
        if value.startswith("--manifest-path="):
            return f" {shlex.quote(value)}"
    return ""


def _message(shown: list[str]) -> str:
    """What stands behind the first panic, up to the note on backtraces."""
    at = next((number for number, line in enumerate(shown) if PANIC.search(line)), None)
    if at is None:
        return _old_message(shown)
    told: list[str] = []
    for line in shown[at + 1 : at + 6]:
        if line.startswith(("note: ", "stack backtrace:", "thread '")):
            break
        told.append(line)
    return "\n".join(told)


def _old_message(shown: list[str]) -> str:
    """Between the quotes, which may be lines apart; the first line where nothing panicked."""
    text = "\n".join(shown[:10])
    _, begun, behind = text.partition("panicked at '")
    end = re.search(_OLD_PANIC.pattern, behind, re.MULTILINE)
    return behind[: end.start()] if begun and end else text.split("\n")[0]


def _kind(message: str) -> FailureKind:
    return FailureKind.ASSERT if message.startswith("assertion") else FailureKind.ERROR
