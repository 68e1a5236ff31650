"""`python -m tests.apply_killed FOLDER STEP`: apply a patch, and be killed at one of its steps.

A step is a call that changes a file, a folder or a name, ours or of the standard library for us.
Prints how many there were when it was not killed. `FOLDER/order.json` says what to do.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mcp_cloud_agents.domain.applied import ApplyMode, Change, Way
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.snapshots.apply.git_patches import GitPatches
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

STEPS = ("fsync", "link", "mkdir", "rename", "rmdir", "symlink", "unlink", "write")


class Order(msgspec.Struct):
    """What to do: apply the change, or take it out again."""

    top: str
    change: Change
    undo: bool


class Counter:
    """Counts the steps, and dies before the one that it is told."""

    def __init__(self, fatal: int) -> None:
        self.done = 0
        self._fatal = fatal

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if self.done == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            self.done += 1
            return call(*args, **kwargs)

        return step


def main(folder: Path, fatal: int) -> None:
    order = msgspec.json.decode((folder / "order.json").read_bytes(), type=Order)
    snapshots = GitSnapshots(str(folder / "state"), ScreenRules(), home=str(folder))
    origin, patches = snapshots.locate(order.top), GitPatches(snapshots)
    counter = Counter(fatal)
    for name in STEPS:
        setattr(os, name, counter.counted(getattr(os, name)))
    if order.undo:
        patches.undo(JobId(order.change.job_id), origin)
    else:
        patches.apply(order.change, origin, Way(mode=ApplyMode.WORKTREE))
    sys.stdout.write(f"{counter.done}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
