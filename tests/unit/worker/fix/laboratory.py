"""A lab on a real repository, and candidates' folders in it; needs bubblewrap."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.fix import Engine, FixOrder
from mcp_cloud_agents.domain.result import Progress
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.storage.state_folder import StateFolder
from mcp_cloud_agents.worker.fix.checkout import Checkout, checkout
from mcp_cloud_agents.worker.fix.lab import Lab
from mcp_cloud_agents.worker.places import Places
from tests.unit.conftest import SPEC

JOB_UID = 62_000 if os.geteuid() == 0 else None
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@invalid")


class Desk:
    """Keeps what is said; a test asks it to cancel."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.output = b""
        self.asked = False

    def log(self, data: bytes) -> None:
        self.output += data

    def say(self, text: str) -> None:
        self.said.append(text)

    def beat(self, progress: Progress | None) -> None:
        """Nobody looks."""

    def cancelled(self) -> bool:
        return self.asked


@dataclass
class Laboratory:
    """A user's repository and the lab of a job on it."""

    folder: Path
    lab: Lab
    desk: Desk

    def candidate(self, number: int = 1) -> tuple[str, Checkout]:
        """A candidate's folder with its restored workspace."""
        folder = self.lab.make_folder(f"candidate-{number}")
        return folder, checkout(self.lab, folder)


def a_laboratory(folder: Path, files: Mapping[str, str], command: str = "") -> Laboratory:
    """A lab on a fresh repository with these files; skips where bubblewrap does not start."""
    sandbox = Bubblewrap()
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    top = folder / "repository"
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "x")):
        subprocess.run((*GIT, *words), cwd=top, check=True)
    state = StateFolder(str(folder / "state"))
    state.open(shared=JOB_UID is not None)
    snapshots = GitSnapshots(state.path, ScreenRules(), home=str(folder))
    snapshot = snapshots.take(snapshots.locate(str(top)))
    order = FixOrder(goal="g", engine=Engine.COMMAND)
    spec = replace(SPEC, snapshot=snapshot, command=command, runner="unittest", fix=order)
    job = folder / "job"
    job.mkdir(mode=0o711)
    places = Places(
        job=str(job / "fix"),
        repositories=state.repositories,
        environments=state.environments,
        uv="/bin/true",
        owner=JOB_UID,
    )
    desk = Desk()
    deadline = time.monotonic() + 120
    lab = Lab(spec=spec, sandbox=sandbox, places=places, env=None, desk=desk, deadline=deadline)
    return Laboratory(folder, lab, desk)
