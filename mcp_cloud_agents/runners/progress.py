"""How far a run of pytest is, read from the lines its plugin adds while the tests run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import Progress
from mcp_cloud_agents.runners import events, untrusted

if TYPE_CHECKING:
    from mcp_cloud_agents.runners.runner import ReportFolder

_CHUNK = 1 << 20


class ProgressReader:
    """Reads only what is new since the last look; a hint for people, never evidence."""

    def __init__(self, report: ReportFolder) -> None:
        self._report = report
        self._offset = 0
        self._partial = b""
        self._told = False
        self._done = 0
        self._total = 0
        self._failed: set[str] = set()

    def read(self) -> Progress | None:
        """How far the run is; None while it has told nothing."""
        if self._offset < events.MAX_BYTES:
            data = self._report.read(events.FILE, _CHUNK, self._offset) or b""
            self._offset += len(data)
            *lines, rest = (self._partial + data).split(b"\n")
            self._partial = rest[: events.MAX_LINE_BYTES + 1]  # too long for a line either way
            for event in events.events(lines):
                self._add(event)
        if not self._told:
            return None
        return Progress(done=self._done, failed=len(self._failed), total=self._total or None)

    def _add(self, event: events.Event) -> None:
        self._told = True
        if event.total is not None:
            self._total += min(max(event.total, 0), untrusted.MAX_CASES)
        elif event.end is not None or event.phase == events.CRASHED:
            self._done += 1
        if event.outcome == "failed" and event.id and len(self._failed) < untrusted.MAX_CASES:
            self._failed.add(event.id[:500])
