"""The text of `cargo test`, read along as it passes on its way to the log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.runners import untrusted
from mcp_cloud_agents.runners.output_lines import OutputLines

if TYPE_CHECKING:
    from collections.abc import Callable

PANIC = re.compile(r"panicked at (?P<path>[^\s:',]+\.rs):(?P<line>\d+):\d+")
_TARGET = re.compile(r"^ +Running (?:unittests )?(?P<source>\S+) \((?:.*/)?(?P<crate>[^/]+)\)$")
_DOCTESTS = re.compile(r"^ +Doc-tests (?P<crate>\S+)$")
_RUNNING = re.compile(r"^running (?P<count>\d{1,7}) tests?$")
_TEST = re.compile(
    r"^test (?P<path>\S.*?)(?: - should panic)? \.\.\. (?P<result>ok|FAILED|ignored)\b"
)
_SECTION = re.compile(r"^---- (?P<path>\S.*) std(?:out|err) ----$")
_DIED = re.compile(r"^\s*process didn't exit successfully: .*\((?P<how>signal: [^()]*)\)")
_RESULT = re.compile(r"^test result: ")
_LIST = re.compile(r"^failures:$")
_ERROR = re.compile(r"^error(?:\[E\d+\])?: ")
_BROKEN = re.compile(
    r"^error: could not compile `(?P<crate>[^`]{1,200})`(?: \((?P<target>[^)]{1,200})\))?"
)
_DOC = "doc-tests"
_KEPT_LINES = 60
_MAX_BROKEN = 1_000
_KEPT_TOTAL = 16 << 20


@dataclass(frozen=True, slots=True)
class BrokenTarget:
    """A target that does not compile; `output` are the compiler's errors."""

    id: str
    output: tuple[str, ...]


@dataclass(slots=True)
class RustTest:
    """One test; `id` is crate, source of its target, and path."""

    id: str
    file: str
    result: str
    output: list[str] = field(default_factory=list[str])


class CargoOutput:
    """`runner.LogFilter` that lets all through and keeps what tells of tests."""

    def __init__(self) -> None:
        self.tests: dict[str, RustTest] = {}
        self.broken: list[BrokenTarget] = []
        self.blocks = 0
        self.overflowed = False
        self.died = ""
        """How a test program was ended by the system, e.g. `signal: 11, SIGSEGV: ...`."""
        self._announced, self._seen, self._results = 0, 0, 0
        self._lines = OutputLines()
        self._crate, self._source = "", ""
        self._open: RustTest | None = None
        self._errors: list[str] = []
        self._compiler: list[str] = []
        self._room = _KEPT_TOTAL
        self._takers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], None]], ...] = (
            (_TARGET, self._begin),
            (_DOCTESTS, self._begin),
            (_RUNNING, self._running),
            (_RESULT, self._result),
            (_SECTION, self._section),
            (_TEST, self._test),
            (_LIST, self._list),
            (_DIED, self._died),
            (_BROKEN, self._target_broken),
        )

    def feed(self, data: bytes) -> bytes:
        """See `runner.LogFilter`."""
        for line in self._lines.feed(data):
            self._line(line.decode("utf-8", "replace").rstrip("\r\n"))
        return data

    def flush(self) -> bytes:
        """See `runner.LogFilter`; all was let through already."""
        self._line(self._lines.flush().decode("utf-8", "replace"))
        return b""

    @property
    def closed(self) -> bool:
        """Whether each block of tests came to its end."""
        return 0 < self.blocks == self._results

    @property
    def expected(self) -> int:
        """How many tests there are, with those that were announced and never told of."""
        return len(self.tests) + max(self._announced - self._seen, 0)

    def error(self) -> str:
        """What the compiler said first."""
        return untrusted.message("\n".join(self._errors[:2]))

    def _line(self, line: str) -> None:
        if len(line) > 4_000:  # none of ours is that long; bounds what a regex may look at
            return
        for pattern, take in self._takers:
            if (found := pattern.match(line)) is not None:
                take(found)
                return
        if self._open is not None:
            self._keep(self._open, line)
        elif self.blocks == self._results:  # between blocks: what a test prints is none of it
            self._compilers(line)

    def _compilers(self, line: str) -> None:
        """Errors of the compiler, each up to the empty line behind it."""
        is_error = _ERROR.match(line) is not None
        if is_error and len(self._errors) < 20:
            self._errors.append(line)
        goes_on = bool(self._compiler) and self._compiler[-1] != ""
        if (is_error or goes_on) and len(self._compiler) < _KEPT_LINES:
            self._compiler.append(line)

    def _running(self, found: re.Match[str]) -> None:
        self.blocks += 1
        self._announced += min(int(found["count"]), untrusted.MAX_CASES)

    def _result(self, found: re.Match[str]) -> None:
        del found
        self._results += 1
        self._open = None

    def _section(self, found: re.Match[str]) -> None:
        self._open = self.tests.get(self._id(found["path"]))

    def _list(self, found: re.Match[str]) -> None:
        del found
        self._open = None

    def _died(self, found: re.Match[str]) -> None:
        self.died = found["how"]

    def _target_broken(self, found: re.Match[str]) -> None:
        if self.blocks != self._results:
            return
        target = f"{found['crate']} {found['target'] or ''}".strip()
        output = tuple(line for line in self._compiler if line) or (found[0],)
        if len(self.broken) < _MAX_BROKEN:
            self.broken.append(BrokenTarget(target, output))
        self._compiler = []

    def _begin(self, target: re.Match[str]) -> None:
        groups = target.groupdict()
        self._crate = re.sub(r"-[0-9a-f]{16}$", "", groups["crate"])
        self._source = groups.get("source") or _DOC
        self._open = None

    def _id(self, path: str) -> str:
        return f"{self._crate} {self._source} {path}".strip()

    def _test(self, found: re.Match[str]) -> None:
        self._seen += 1
        if len(self.tests) >= untrusted.MAX_CASES:
            self.overflowed = True
            return
        path, result = found["path"], found["result"]
        file = path.split(" - ")[0] if self._source == _DOC else self._source
        test = RustTest(self._id(path), file, result)
        known = self.tests.get(test.id)
        if known is None or result == "FAILED":  # the same name twice: the worse one counts
            self.tests[test.id] = test

    def _keep(self, test: RustTest, line: str) -> None:
        if len(test.output) < _KEPT_LINES and self._room > 0:
            test.output.append(line + "\n")
            self._room -= len(line)
