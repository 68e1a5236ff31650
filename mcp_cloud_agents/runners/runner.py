"""What a test runner is to us: recognised, found in a tree, made to write a report, and read."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.domain.result import TestReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Where a job finds things, as seen inside its sandbox."""

    tree: str = "/workspace"
    report: str = "/report"
    tools: str = "/tools"
    folder: str = ""
    """Where below the tree the command starts; empty: at the top."""

    @property
    def cwd(self) -> str:
        """Where the command starts, and so relative paths in its reports."""
        return posixpath.join(self.tree, self.folder) if self.folder else self.tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrumented:
    """A command line that leaves a report, and what it needs for that."""

    command: str
    env: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    """Why there may be no report, for the job's result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A folder of ours shown read-only to the job."""

    name: str
    host: str
    inside: str


class ReportFolder(Protocol):
    """What the job wrote to its report folder: hostile, so opened without following links."""

    def read(self, name: str, limit: int, offset: int = 0) -> bytes | None:
        """At most `limit` bytes of a regular file; None when there is none that may be read."""
        ...


class LogFilter(Protocol):
    """Stands between the command's output and its log, for runners that report on stdout."""

    def feed(self, data: bytes) -> bytes:
        """Take output as it comes; return what belongs into the log now."""
        ...

    def flush(self) -> bytes:
        """The output ended; return what is left for the log."""
        ...


class Runner(Protocol):
    """One test runner. An object serves one job: it may keep what passed its log filter."""

    @property
    def name(self) -> str:
        """Stable name, as users write it."""
        ...

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """Whether a shell command line is a run of this runner.

        Args:
            command: untrusted; it is parsed, never run here.
            files: content of those of the tree's `DETECTION_FILES` that exist.
        """
        ...

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """The usual command for a tree with these paths, when it uses this runner."""
        ...

    def instrument(self, command: str) -> Instrumented:
        """The command line and environment that make a run leave its report."""
        ...

    def tools(self) -> tuple[Tool, ...]:
        """Folders the instrumented command needs to see."""
        ...

    def log_filter(self) -> LogFilter | None:
        """What the output passes on its way to the log; None: nothing. The same on each call."""
        ...

    def read(self, report: ReportFolder) -> TestReport:
        """What the run reported, as data: never raises, whatever the job wrote."""
        ...
