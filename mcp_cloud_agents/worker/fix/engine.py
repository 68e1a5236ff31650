"""What an engine is to the candidate's process: it changes a workspace, and says how it ended.

An engine runs in a process of its own (`worker.fix.candidate`), which holds the model key and may
be killed at any moment: the workspace, the transcript and what was spent are on the disk by then.
Everything it runs for the job goes through `Workbench.run`, which is a sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mcp_cloud_agents.domain.fix import (
    Budget,
    Evidence,
    FixOrder,
    Reproduction,
    StopReason,
)
from mcp_cloud_agents.domain.result import TestReport

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.sandbox import Bind


class CandidateStopped(Exception):
    """The candidate must end now: the job was cancelled, or its time is up. Let it through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command in the candidate's workspace ended."""

    exit_code: int
    """128 + n for signal n."""
    output: bytes
    """stdout and stderr, the first and last 128 KiB of it at most."""
    timed_out: bool = False
    duration_s: float = 0.0


class Runs(Protocol):
    """Runs a command in the sandbox, in the candidate's workspace. Blocks; one at a time."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        binds: Sequence[Bind] = (),
    ) -> Finished:
        """Run it to its end, or end its whole process tree when the time is up.

        Args:
            argv: program and arguments, as seen inside.
            timeout_s: the candidate's own end may come earlier.
            env: added to the job's.
            stdin: what it reads there.
            binds: host files of ours that it sees besides, below `/tools`.

        Raises:
            IsolationUnavailable: the sandbox did not start.
            CandidateStopped: the job was cancelled, or the candidate's time is up.
        """
        ...


class Transcript(Protocol):
    """The candidate's record, one JSON object a line, redacted, on the disk at once."""

    def write(self, kind: str, **data: Any) -> None:
        """Append an entry; `kind` is one of prompt, answer, tool, test, cost, note, end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """What an engine works with."""

    order: FixOrder
    number: int
    """Of the candidate."""
    budget: Budget
    """This candidate's share."""
    reproduction: Reproduction
    failures: TestReport
    """The target's report on the base: the failing cases with their messages."""
    target: str
    """The command whose tests shall pass, as a person would type it."""
    folder: str
    """Where below the top of the tree commands start; empty: at the top."""
    run: Runs
    run_tests: Callable[[Sequence[str]], TestReport]
    """Runs the target's tests (these ids; none: all) on the workspace as it is now."""
    verify: Callable[[], Evidence]
    """Collects the change and judges it in a fresh sandbox; the workspace stays as it is."""
    transcript: Transcript
    left_s: Callable[[], float]
    """Seconds until the candidate's time is up."""
    scratch: str
    """Host folder of this candidate alone, ours: what it left (`order`), sockets, files to show."""
    known: tuple[str, ...] = field(default=(), repr=False)
    """Secrets of the job: no prompt may show one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an engine ended. What was spent is in the meter's file, not here."""

    reason: StopReason
    message: str = ""
    """One line, rendered."""
    model: str = ""
    notes: tuple[str, ...] = ()
    """What a person should know of the job besides, a sentence each."""


class EngineRun(Protocol):
    """One engine. `worker/fix/engines/` has one file for each; `candidate` makes them."""

    def __call__(self, bench: Workbench) -> Ended:
        """Change the workspace; returns also when a limit ended it.

        Raises:
            CandidateStopped: from `Workbench.run`; the change so far is kept.
        """
        ...
