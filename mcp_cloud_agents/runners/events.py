"""What our pytest plugin wrote while the tests ran: one JSON line a step, hostile like any report.

The plugin is `tools/pytest/job_report.py`. A line that makes no sense is passed over.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.runners import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE = "events.jsonl"
MAX_BYTES = 32 << 20
MAX_LINE_BYTES = 65_536
CRASHED = "???"
"""The phase xdist gives to a test whose worker process died."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line; which fields are set tells what it is."""

    session: str | None = None
    """A run of pytest began; its root folder, where its ids and file names start."""
    cwd: str = ""
    """Where the paths in its messages start."""
    total: int | None = None
    """How many tests it is going to run."""
    start: str | None = None
    end: str | None = None
    finish: int | None = None
    """The run closed its reports; its exit status."""
    id: str | None = None
    """A step of this test (or the collection of this file) has an outcome."""
    phase: str = ""
    outcome: str = ""
    s: float = 0.0
    message: str = ""
    frames: tuple[tuple[str, int], ...] = ()
    """File and line, outermost first."""


@dataclass(slots=True)
class Told:
    """All that the plugin told."""

    steps: list[Event] = field(default_factory=list[Event])
    """In order; those with an `id`."""
    roots: list[str] = field(default_factory=list[str])
    folders: list[str] = field(default_factory=list[str])
    sessions: int = 0
    finished: int = 0
    expected: int = 0
    ended: int = 0
    running: Counter[str] = field(default_factory=Counter[str])

    @property
    def closed(self) -> bool:
        """Whether every run that began has also come to its end."""
        return self.finished >= self.sessions

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Tests that began and never ended, in order of their start."""
        return tuple(test for test, times in self.running.items() if times > 0)

    def add(self, event: Event) -> None:
        """Take one more line into account."""
        if event.session is not None:
            self.sessions += 1
            self.roots.append(event.session)
            self.folders.append(event.cwd)
        elif event.total is not None:
            self.expected += min(max(event.total, 0), untrusted.MAX_CASES)
        elif event.start is not None:
            self.running[event.start] += 1
        elif event.end is not None:
            self._end(event.end)
        elif event.finish is not None:
            self.finished += 1
        elif event.id is not None:
            self.steps.append(event)
            if event.phase == CRASHED:  # no end line: the process that would have sent it is gone
                self._end(event.id)

    def _end(self, test: str) -> None:
        self.running[test] -= 1
        self.ended += 1


def told(data: bytes) -> Told:
    """All lines of a whole file."""
    result = Told()
    for event in events(io.BytesIO(data)):
        result.add(event)
        if len(result.steps) >= 4 * untrusted.MAX_CASES or len(result.running) > 100_000:
            break
    return result


def events(lines: Iterable[bytes]) -> Iterator[Event]:
    """The lines that make sense."""
    for line in lines:
        if len(line) > MAX_LINE_BYTES:
            continue
        try:
            yield _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


_DECODER = msgspec.json.Decoder(Event)
