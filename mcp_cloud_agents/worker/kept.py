"""What is kept of a job: its patch, its report, as artifacts under names of ours."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.domain.result import Artifact
from mcp_cloud_agents.runners.junit import write as write_junit
from mcp_cloud_agents.storage.files import write_durably
from mcp_cloud_agents.worker.collect import collect_patch
from mcp_cloud_agents.worker.collect_files import Wanted, collect_files
from mcp_cloud_agents.worker.withheld import without_secrets

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.domain.result import TestReport
    from mcp_cloud_agents.worker.boxed_git import BoxedGit
    from mcp_cloud_agents.worker.task import Task

PATCH, JUNIT = "patch.diff", "junit.xml"
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that was kept."""

    patch: Patch | None
    artifacts: tuple[Artifact, ...]
    has_cases: bool
    notes: tuple[str, ...]
    cancelled: bool = False
    """Whether something is missing because the job was cancelled meanwhile."""

    @staticmethod
    def collect(
        git: BoxedGit, snapshot: Snapshot, task: Task, report: TestReport | None, folder: str
    ) -> Kept:
        """Collect patch and report into `folder`; what cannot be kept becomes a note."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        redactor = task.exposure.redactor
        changed = collect_patch(git, snapshot, folder, redactor=redactor)
        artifacts: list[Artifact] = []
        notes = list(changed.notes)
        if changed.patch is not None:
            artifacts.append(_patch_artifact(changed.patch))
        if report is not None:
            own, why = _report_artifacts(task, report, folder)
            own, withheld = without_secrets(own, folder, redactor)
            artifacts += own
            notes += (*why, *withheld)
        return Kept(
            patch=changed.patch,
            artifacts=tuple(artifacts),
            has_cases=report is not None and bool(report.cases),
            notes=tuple(notes),
            cancelled=changed.cancelled,
        )


def _patch_artifact(patch: Patch) -> Artifact:
    return Artifact(
        name=PATCH,
        media_type="text/x-diff",
        size_bytes=patch.size_bytes,
        sha256=patch.sha256,
        description="what the job changed",
    )


def _report_artifacts(
    task: Task, report: TestReport, folder: str
) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """The runner's own JUnit file; where it writes another format, one made from its cases."""
    wanted = Wanted(
        path=JUNIT, name=JUNIT, media_type="application/xml", description="the test report"
    )
    found, notes = collect_files(task.folder.root, [wanted], folder, limit_bytes=_LIMIT_BYTES)
    if found or not report.cases:
        return found, notes
    data = write_junit(report.cases)
    write_durably(os.path.join(folder, JUNIT), data)
    made = Artifact(
        name=JUNIT,
        media_type="application/xml",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        description="the test report, made from what the runner printed",
    )
    return (made,), notes
