"""What a fix works with: the job, a sandbox, places of its own; in the worker as in a candidate."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.ports.sandbox import Sandbox
from mcp_cloud_agents.worker.boxed_git import BoxedGit
from mcp_cloud_agents.worker.places import Places
from mcp_cloud_agents.worker.vault import BARE, Exposure

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.result import Progress

LEAST_S = 10.0
"""No time limit that is measured on the base is shorter: a loaded machine is no regression."""
FACTOR = 5
"""How much longer than on the base something may take."""


class Stopped(Exception):
    """The work must end now.

    Attributes:
        kind: CANCELLED, TIMEOUT when all time is used, or SANDBOX_DIED when the sandbox was killed
            from outside.
    """

    def __init__(self, kind: CauseKind) -> None:
        super().__init__(f"stopped: {kind}")
        self.kind = kind


class Attendant(Protocol):
    """Who is told while a fix goes on; a desk is one."""

    def log(self, data: bytes) -> None:
        """Output of a command."""
        ...

    def say(self, text: str) -> None:
        """A line of our own."""
        ...

    def beat(self, progress: Progress | None) -> None:
        """Called about every 50 ms while something runs."""
        ...

    def cancelled(self) -> bool:
        """Whether all must end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where candidates are made and judged."""

    spec: JobSpec
    sandbox: Sandbox
    places: Places
    """Its `job` is a folder of this lab alone."""
    env: str | None
    """Host folder of the environment."""
    desk: Attendant
    deadline: float
    """Of everything, by the monotonic clock."""
    exposure: Exposure = BARE
    """The secrets that the target's and the suite's commands get; engines get none."""
    _numbers: list[int] = field(default_factory=lambda: [0])

    def left_s(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise Stopped when the job was cancelled."""
        self.desk.beat(None)
        if self.desk.cancelled():
            raise Stopped(CauseKind.CANCELLED)

    def make_folder(self, name: str) -> str:
        """A folder of ours below this lab's; the jobs' user may pass through it."""
        path = self.places.path(name)
        os.makedirs(self.places.job, exist_ok=True)
        os.makedirs(path)
        if self.places.owner is not None:
            for folder in (self.places.job, path):
                os.chmod(folder, 0o711)  # noqa: S103  jobs pass through, and cannot list
        return path

    def next_folder(self, kind: str) -> str:
        """A fresh folder with a number in its name."""
        self._numbers[0] += 1
        return self.make_folder(f"{kind}-{self._numbers[0]}")

    def within(self, folder: str) -> Lab:
        """The same with another folder of its own."""
        return replace(self, places=replace(self.places, job=folder), _numbers=[0])

    def git(self, folder: str) -> BoxedGit:
        """Git for a workspace in a folder of ours, within the lab's time."""
        return BoxedGit(
            sandbox=self.sandbox,
            git_dir=os.path.join(folder, "git"),
            store=self.places.store(self.spec.snapshot.repository),
            workspace=os.path.join(folder, "workspace"),
            owner=self.places.owner,
            deadline=self.deadline,
            cancelled=self.desk.cancelled,
            tick=self._tick,
        )

    def _tick(self) -> None:
        self.desk.beat(None)


def allowed_s(measured_s: float) -> float:
    """How long something may take that took so long on the base, in seconds."""
    return max(LEAST_S, FACTOR * measured_s)
