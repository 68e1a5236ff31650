"""A fix as the work of a job: from a set-up tree to the job's result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import Engine, FixOrder
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.result import Cause, CauseKind, JobResult
from mcp_cloud_agents.domain.verdict import judge
from mcp_cloud_agents.ports.desk import Desk
from mcp_cloud_agents.worker.endings import ENDED_EARLY, sandbox_died
from mcp_cloud_agents.worker.fix.engines.model import require_extra
from mcp_cloud_agents.worker.fix.keep import keep
from mcp_cloud_agents.worker.fix.lab import Lab
from mcp_cloud_agents.worker.fix.work import Work
from mcp_cloud_agents.worker.places import Places
from mcp_cloud_agents.worker.vault import BARE, Exposure
from mcp_cloud_agents.worker.withheld import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mcp_cloud_agents.ports.sandbox import Sandbox
    from mcp_cloud_agents.worker.fix.made import Worked


@dataclass(frozen=True, slots=True)
class FixJob:
    """What a job of kind `fix` does between set-up and report."""

    spec: JobSpec
    order: FixOrder
    places: Places
    desk: Desk

    exposure: Exposure = BARE
    """The secrets that the target's and the suite's commands get."""

    def work(
        self, sandbox: Sandbox, env: str | None, keys: Mapping[str, str], within_s: float
    ) -> Worked:
        """Do the fix.

        Args:
            sandbox: that the job runs in.
            env: host folder of the environment; None: there is none.
            keys: the models' keys by their references.
            within_s: for all of it, candidates and judging.

        Raises:
            ModelUnusable: the engine's library is not installed; nothing was run.
            AgentsError: nothing could be run.
        """
        if self.order.engine is Engine.MODEL:
            require_extra()
        lab = Lab(
            spec=self.spec,
            sandbox=sandbox,
            places=replace(self.places, job=self.places.path("fix")),
            env=env,
            desk=self.desk,
            deadline=time.monotonic() + within_s,
            exposure=self.exposure,
        )
        return Work(lab, self.order, keys, self.places.path("workspace")).do()

    def cause(self, worked: Worked) -> Cause | None:
        """Why the job did not do its work; None when it did, whatever came of it."""
        if worked.stopped is None:
            return None
        if worked.stopped is CauseKind.SANDBOX_DIED:
            return sandbox_died(())
        return ENDED_EARLY[worked.stopped](self.spec, ())

    def said(self, worked: Worked) -> Iterator[str]:
        """What the target's failing tests printed."""
        for case in worked.tests.cases if worked.tests is not None else ():
            yield case.message
            yield from case.details

    def result(self, worked: Worked, result: JobResult) -> JobResult:
        """The job's result with all that the fix adds; artifacts are kept now.

        Raises:
            NoSpace: the disk is full.
        """
        folder = self.places.path("artifacts")
        artifacts, notes = without_secrets(keep(worked, folder), folder, self.exposure.redactor)
        tests = worked.tests
        return replace(
            result,
            verdict=judge(tests, exit_code=worked.exit_code) if tests is not None else None,
            patch=worked.patch,
            artifacts=artifacts,
            notes=(*result.notes, *notes),
            peak_memory_mib=worked.peak_memory_mib,
            fix=worked.report,
        )
