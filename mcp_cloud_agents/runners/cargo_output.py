"""The text of `cargo test`, read along as it passes on its way to the log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mcp_cloud_agents.runners import untrusted
from mcp_cloud_agents.runners.output_lines import OutputLines

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
_ERROR = re.compile(r"^error(?:\[E\d+\])?: ")
_DOC = "doc-tests"
_KEPT_LINES = 60
_KEPT_TOTAL = 16 << 20


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
        self.blocks = 0
        self.expected = 0
        self.overflowed = False
        self.died = ""
        """How a test program was ended by the system, e.g. `signal: 11, SIGSEGV: ...`."""
        self._results = 0
        self._lines = OutputLines()
        self._crate, self._source = "", ""
        self._open: RustTest | None = None
        self._errors: list[str] = []
        self._room = _KEPT_TOTAL

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

    def error(self) -> str:
        """What the compiler said first."""
        return untrusted.message("\n".join(self._errors[:2]))

    def _line(self, line: str) -> None:
        if len(line) > 4_000:  # none of ours is that long; bounds what a regex may look at
            return
        if target := _TARGET.match(line) or _DOCTESTS.match(line):
            self._begin(target)
        elif running := _RUNNING.match(line):
            self.blocks += 1
            self.expected += min(int(running["count"]), untrusted.MAX_CASES)
        elif _RESULT.match(line):
            self._results += 1
            self._open = None
        elif section := _SECTION.match(line):
            self._open = self.tests.get(self._id(section["path"]))
        elif test := _TEST.match(line):
            self._add(test["path"], test["result"])
        elif line == "failures:":
            self._open = None
        elif died := _DIED.match(line):
            self.died = died["how"]
        elif self._open is not None:
            self._keep(self._open, line)
        elif _ERROR.match(line) and len(self._errors) < 20:
            self._errors.append(line)

    def _begin(self, target: re.Match[str]) -> None:
        groups = target.groupdict()
        self._crate = re.sub(r"-[0-9a-f]{16}$", "", groups["crate"])
        self._source = groups.get("source") or _DOC
        self._open = None

    def _id(self, path: str) -> str:
        return f"{self._crate} {self._source} {path}".strip()

    def _add(self, path: str, result: str) -> None:
        if len(self.tests) >= untrusted.MAX_CASES:
            self.overflowed = True
            return
        file = path.split(" - ")[0] if self._source == _DOC else self._source
        test = RustTest(self._id(path), file, result)
        known = self.tests.get(test.id)
        if known is None or result == "FAILED":  # the same name twice: the worse one counts
            self.tests[test.id] = test

    def _keep(self, test: RustTest, line: str) -> None:
        if len(test.output) < _KEPT_LINES and self._room > 0:
            test.output.append(line + "\n")
            self._room -= len(line)
