"""The events of `go test -json`, kept as they pass on their way to the log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from mcp_cloud_agents.runners import untrusted
from mcp_cloud_agents.runners.output_lines import OutputLines

_KEPT_CHARS = 20_000
_KEPT_TOTAL = 32 << 20
_BROKEN = re.compile(rb"^FAIL\s+(?P<package>\S+) \[(?:build|setup) failed\]")
_HEAD = re.compile(rb"^# (?P<package>\S+)")


_LATE = re.compile(r"\S--- (?P<end>PASS|FAIL|SKIP): (?P<name>\S+) \(")
_PANIC = re.compile(r"^panic: ")


@dataclass(frozen=True, slots=True)
class _Event:
    Action: str  # go's names
    Package: str = ""
    Test: str = ""
    Elapsed: float = 0.0
    Output: str = ""
    ImportPath: str = ""


@dataclass(slots=True)
class Kept:
    """Output, up to a limit."""

    parts: list[str] = field(default_factory=list[str])
    size: int = 0

    def add(self, text: str) -> int:
        """Keep what fits; returns how much that was."""
        taken = text[: max(_KEPT_CHARS - self.size, 0)]
        if taken:
            self.parts.append(taken)
            self.size += len(taken)
        return len(taken)

    def text(self) -> str:
        """All that was kept."""
        return "".join(self.parts)


@dataclass(slots=True)
class GoTest:
    """One test or subtest; `action` is how it ended, empty while it has not."""

    package: str
    name: str
    action: str = ""
    elapsed_s: float = 0.0
    output: Kept = field(default_factory=Kept)


class GoEvents:
    """`runner.LogFilter` that keeps what it sees."""

    def __init__(self) -> None:
        self.seen = False
        self.overflowed = False
        self._lines = OutputLines()
        self._tests: dict[tuple[str, str], GoTest] = {}
        self._packages: dict[str, str] = {}
        self._output: dict[str, Kept] = {}
        self._section = ""
        self._broken: dict[str, None] = {}
        self._room = _KEPT_TOTAL

    def feed(self, data: bytes) -> bytes:
        """See `runner.LogFilter`."""
        return b"".join(self._line(line) for line in self._lines.feed(data))

    def flush(self) -> bytes:
        """See `runner.LogFilter`."""
        rest = self._lines.flush()
        return self._line(rest) if rest else b""

    @property
    def closed(self) -> bool:
        """Whether every package that was told of has ended."""
        return bool(self._packages or self._broken) and all(self._packages.values())

    def tests(self) -> list[GoTest]:
        """Tests in order of their start; parents that only sum up their subtests are left out."""
        parents: dict[tuple[str, str], bool] = {}
        for (package, name), test in self._tests.items():
            while "/" in name:
                name = name.rsplit("/", 1)[0]
                bad = parents.get((package, name), False) or test.action == "fail"
                parents[package, name] = bad
        return [
            test
            for key, test in self._tests.items()
            if key not in parents or (test.action == "fail" and not parents[key])
        ]

    def broken(self) -> list[tuple[str, str]]:
        """Packages without a report of their own tests, with their output."""
        ends = ("fail", "")
        failing = {test.package for test in self._tests.values() if test.action in ends}
        named = dict(self._broken)
        for package, end in self._packages.items():
            if end == "fail" and package not in failing:
                named[package] = None
        return [(package, self._text(package)) for package in named]

    def _text(self, package: str) -> str:
        kept = [self._output.get(name) for name in (package, f"{package} [{package}.test]")]
        kept += [own for name, own in self._output.items() if name.startswith(f"{package}_test [")]
        return "".join(one.text() for one in kept if one is not None)

    def _line(self, line: bytes) -> bytes:
        if line.startswith(b"{"):
            try:
                event = _DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return line
            self._take(event)
            return event.Output.encode("utf-8", "replace")
        self._text_line(line)
        return line

    def _text_line(self, line: bytes) -> None:
        """Go before 1.24 prints what the compiler says as plain text, by package."""
        if (broken := _BROKEN.match(line)) is not None:
            self.seen = True
            self._broken[broken["package"].decode("utf-8", "replace")] = None
            self._section = ""
        elif (head := _HEAD.match(line)) is not None:
            self._section = head["package"].decode("utf-8", "replace")
        elif self._section:
            self._keep_for(self._section, line.decode("utf-8", "replace"))

    def _take(self, event: _Event) -> None:
        self.seen = True
        if event.Action in ("build-output", "build-fail"):
            self._keep_for(event.ImportPath.split(" ")[0], event.Output)
        elif not event.Package:
            return
        elif not event.Test:
            self._package(event)
        elif (test := self._test(event)) is not None:
            if event.Action == "output":
                self._keep(test.output, event.Output)
                test.action = test.action or _said_end(event.Output, test.name)
            elif event.Action in ("pass", "fail", "skip"):
                test.action, test.elapsed_s = event.Action, event.Elapsed

    def _package(self, event: _Event) -> None:
        if len(self._packages) >= untrusted.MAX_CASES:
            self.overflowed = True
            return
        ended = event.Action if event.Action in ("pass", "fail", "skip") else ""
        self._packages[event.Package] = ended or self._packages.get(event.Package, "")
        if event.Action == "output":
            self._keep_for(event.Package, event.Output)

    def _test(self, event: _Event) -> GoTest | None:
        key = (event.Package, event.Test)
        if key not in self._tests:
            if len(self._tests) >= untrusted.MAX_CASES:
                self.overflowed = True
                return None
            self._tests[key] = GoTest(*key)
            self._packages.setdefault(event.Package, "")
        return self._tests[key]

    def _keep_for(self, package: str, text: str) -> None:
        if package in self._output or len(self._output) < untrusted.MAX_CASES:
            self._keep(self._output.setdefault(package, Kept()), text)

    def _keep(self, kept: Kept, text: str) -> None:
        if self._room > 0:
            self._room -= kept.add(text)


def _said_end(output: str, name: str) -> str:
    """How a test ended that go sends no event for.

    It panicked (a time-out included), or its output had no line feed before go's own line
    (go before 1.20).
    """
    if _PANIC.match(output):
        return "fail"
    late = _LATE.search(output[:4_000])
    return late["end"].lower() if late and late["name"] == name else ""


_DECODER = msgspec.json.Decoder(_Event)
