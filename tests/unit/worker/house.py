"""A state folder with snapshots and jobs of any age."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState, Snapshot
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.store import Repository, Stores
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder, this_supervisor
from mcp_cloud_agents.storage.state_folder import StateFolder
from mcp_cloud_agents.worker.housekeeping import _tidy

SpecFactory = Callable[..., JobSpec]


DAY_S = 86_400.0


KEEP_DAYS = 30


@dataclass
class House:
    """A state folder, a user's repository, and days that pass."""

    scratch: Path
    a_spec: SpecFactory
    day: float = 0.0
    jobs: dict[str, JobFolder] = field(default_factory=dict[str, JobFolder])

    def __post_init__(self) -> None:
        self.state = StateFolder(str(self.scratch / "state"))
        self.state.open(shared=os.geteuid() == 0)
        self.host = HostPlan(
            state=self.state.path,
            uv="/uv",
            concurrent_jobs=2,
            keep_days=KEEP_DAYS,
            keep_gib=9,
            owner=None,
        )
        self.snapshots = GitSnapshots(self.state.path, ScreenRules(), home=str(self.scratch))
        self.top = self.scratch / "repo"
        self.top.mkdir()
        self.git("init", "-q")

    def git(self, *words: str, cwd: Path | None = None) -> None:
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.scratch)}
        who = ("-c", "user.name=t", "-c", "user.email=t@invalid")
        subprocess.run(["git", *who, *words], cwd=cwd or self.top, env=env, check=True)

    def take(self, content: bytes, top: Path | None = None) -> Snapshot:
        where = top or self.top
        (where / "file").write_bytes(content)
        return self.snapshots.take(self.snapshots.locate(str(where)))

    def job(self, snapshot: Snapshot, name: str) -> None:
        """A job on the snapshot, which ends now."""
        at = time.time() + self.day * DAY_S
        spec = self.a_spec(id=JobId(name), snapshot=snapshot, created_at=at)
        folder = JobFolder.create(self.state.jobs, spec, self.host, shared=False)
        ended = JobStatus(state=JobState.SUCCEEDED, history=((JobState.SUCCEEDED, at),))
        folder.write_status(ended, this_supervisor())
        for path in (folder.file("state.json"), folder.path):
            os.utime(path, (at, at))

    def tidy(self, *, after_days: float) -> None:
        self.day += after_days
        _tidy(self.state, self.host, time.time() + self.day * DAY_S)

    def use(self) -> None:
        """The worktrees are in use today, with nothing new in them."""
        for lock in Path(self.state.snapshots).glob("*.lock"):
            set_time(lock, self.day)

    @property
    def stores(self) -> Stores:
        return Stores(self.state.repositories, shared=os.geteuid() == 0)

    def store(self, snapshot: Snapshot) -> Repository:
        return self.stores.get(snapshot.repository)

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether a job can restore it: all of its objects are there."""
        git = self.store(snapshot).git
        return git.start("rev-list", "--objects", "--quiet", snapshot.commit).said_yes()

    def left(self) -> dict[str, list[str]]:
        found = (self.state.snapshots, self.state.repositories, f"{self.state.repositories}/ids")
        return {os.path.basename(folder): sorted(os.listdir(folder)) for folder in found}


def set_time(path: str | Path, day: float) -> None:
    at = time.time() + day * DAY_S
    os.utime(path, (at, at))
