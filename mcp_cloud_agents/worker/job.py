"""The way of one job in the worker: restore ─ set up ─ run ─ collect ─ report."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.causes import explain
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.localhost import refused_localhost
from mcp_cloud_agents.domain.result import (
    Cause,
    CauseKind,
    JobResult,
    Timings,
    Verdict,
    VerdictOutcome,
)
from mcp_cloud_agents.domain.sandbox import IsolationRecord, Network
from mcp_cloud_agents.domain.secret import Phase
from mcp_cloud_agents.domain.verdict import judge
from mcp_cloud_agents.resilience.deadline import Hops, deadline_here
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.worker.boxed_git import BoxedGit, GitStopped
from mcp_cloud_agents.worker.endings import (
    ENDED_EARLY,
    cancelled_in_collect,
    never_started,
    no_report,
    sandbox_died,
    stopped_in_restore,
    timed,
)
from mcp_cloud_agents.worker.kept import Kept
from mcp_cloud_agents.worker.redacting_desk import RedactingDesk
from mcp_cloud_agents.worker.restore import restore
from mcp_cloud_agents.worker.run import Grace
from mcp_cloud_agents.worker.setup import Prepared, Site, prepare
from mcp_cloud_agents.worker.task import Task
from mcp_cloud_agents.worker.vault import BARE, Given, Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.domain.fix import FixOrder
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.sandbox import Probe
    from mcp_cloud_agents.ports.desk import Desk
    from mcp_cloud_agents.ports.sandbox import Sandbox
    from mcp_cloud_agents.worker.places import Places
    from mcp_cloud_agents.worker.run import Ran
    from mcp_cloud_agents.worker.shared_environments import SharedEnvironments
    from mcp_cloud_agents.worker.vault import Exposure


_COULD_NOT_RUN = (126, 127)  # what a shell says of a program it cannot execute, or find


def hops_of(spec: JobSpec) -> Hops:
    """What each step of a job may take; the wall clock is looked at now and not again."""
    now = time.monotonic()
    return Hops.begun(deadline_here(spec, time.time(), now), spec.limits, now)


class Job:
    """One job on its way. Its ends are all here: every path leads to exactly one `finish`."""

    def __init__(
        self,
        spec: JobSpec,
        places: Places,
        desk: Desk,
        shared: SharedEnvironments | None = None,
        given: Given | None = None,
        hops: Hops | None = None,
    ) -> None:
        self._spec = spec
        self._places = places
        self._vault = Vault(spec, given or Given())
        self._desk: Desk = RedactingDesk(desk, self._vault)
        self._shared = shared
        self._hops = hops or hops_of(spec)
        self._restore_s = self._run_s = 0.0
        """What they may take, once they have begun."""
        self._timings = Timings()
        self._isolation = IsolationRecord(
            level=spec.isolation, driver="none started", run_network=Network.NONE
        )
        self._environment = "none"

    def waited(self, seconds: float) -> None:
        """How long the job stood in line."""
        self._timings = replace(self._timings, queued_s=seconds)

    def do(self, sandbox: Sandbox, probe: Probe) -> None:
        """Run the job to its end.

        Raises:
            AgentsError: the job could not do its work; the caller ends it with a cause.
        """
        self._isolation = IsolationRecord(
            level=probe.level,
            driver=probe.driver,
            run_network=Network.NONE,
            limits=probe.limits,
            notes=(*probe.notes, *self._spec.setup.notes),
            loopback=probe.loopback,
        )
        self._vault.open()
        self._desk.enter(JobState.STARTING)
        self._restore_s = self._hops.restore_s(time.monotonic())
        git = self._git(sandbox, "git", self._places.path("workspace"), self._restore_s)
        try:
            self._restore(git)
            prepared = self._set_up(sandbox)
        except GitStopped as exc:
            cause = stopped_in_restore(exc.kind, self._spec)
            own_s = self._spec.limits.setup_timeout_s
            doing = "while its tree was restored"
            self.give_up(timed(cause, doing, within_s=self._restore_s, limit_s=own_s))
            return
        try:
            if prepared.cause is not None:
                self.give_up(prepared.cause)
                return
            exposure = self._vault.expose(Phase.RUN)
            self._desk.enter(JobState.RUNNING)
            if self._spec.fix is not None:
                self._fix(self._spec.fix, sandbox, prepared, exposure)
            else:
                self._run(git, sandbox, prepared, exposure)
        finally:
            if prepared.lock is not None:
                os.close(prepared.lock)

    def over(self) -> bool:
        """Whether its time is up, and it need not begin."""
        return self._hops.over(time.monotonic())

    def give_up(self, cause: Cause) -> None:
        """The job ends here, in the state that belongs to the cause."""
        self.end(_state_of(cause.kind), cause)

    def end(self, state: JobState, cause: Cause) -> None:
        """The job ends here without a result of its command."""
        self._desk.say(f"{state}: {cause.message}")
        self._desk.finish(self._result(state, exit_code=None, cause=cause), cause)

    def _git(self, sandbox: Sandbox, name: str, workspace: str, within_s: float) -> BoxedGit:
        return BoxedGit(
            sandbox=sandbox,
            git_dir=self._places.path(name),
            store=self._places.store(self._spec.snapshot.repository),
            workspace=workspace,
            owner=self._places.owner,
            deadline=time.monotonic() + within_s,
            cancelled=self._desk.cancelled,
            tick=lambda: self._desk.beat(None),
        )

    def _restore(self, git: BoxedGit) -> None:
        started_at = time.monotonic()
        restore(git, self._spec.snapshot)
        self._timings = replace(self._timings, restore_s=_since(started_at))

    def _set_up(self, sandbox: Sandbox) -> Prepared:
        within_s = self._hops.set_up_s(time.monotonic())
        limits = self._spec.limits
        git = self._git(sandbox, "git-setup", "", within_s)

        def checkout(path: str) -> None:
            restore(replace(git, workspace=path), self._spec.snapshot)

        folder = EnvironmentFolder(self._places.environments, owner=self._places.owner)
        folder.open()
        site = Site(
            sandbox=sandbox,
            folder=folder,
            uv=self._places.uv,
            checkout=checkout,
            log=self._desk.log,
            limits=replace(limits, setup_timeout_s=int(within_s)),
            env=self._places.setup_env,
            exposure=self._vault.expose(Phase.SETUP) if self._spec.setup.commands else BARE,
            cancelled=self._desk.cancelled,
            tick=lambda: self._desk.beat(None),
            workspace=self._places.path("workspace"),
        )
        if self._shared is not None:
            self._shared.bring(self._spec.setup, site)
        prepared = prepare(self._spec.setup, site)
        if self._shared is not None and prepared.how == "built" and prepared.cause is None:
            self._shared.keep(self._spec.setup, site)
        self._environment = prepared.how
        self._timings = replace(self._timings, setup_s=round(prepared.duration_s, 3))
        if prepared.how == "built":
            self._isolation = replace(self._isolation, setup_network=Network.HOST)
        if prepared.cause is None:
            return prepared
        own_s = limits.setup_timeout_s
        cause = timed(prepared.cause, "during set-up", within_s=within_s, limit_s=own_s)
        return replace(prepared, cause=cause)

    def _run(self, git: BoxedGit, sandbox: Sandbox, prepared: Prepared, exposure: Exposure) -> None:
        """The work of a job that has one command."""
        task = Task(self._spec, self._places, self._desk, exposure=exposure)
        try:
            self._run_s = self._hops.run_s(time.monotonic())
            ran = task.run(sandbox, prepared.env, within_s=self._run_s)
            self._timings = replace(self._timings, run_s=round(ran.duration_s, 3))
            self._desk.enter(JobState.COLLECTING)
            self._collect(git, task, ran)
        finally:
            task.close()

    def _fix(
        self, order: FixOrder, sandbox: Sandbox, prepared: Prepared, exposure: Exposure
    ) -> None:
        """The work of a job that makes and judges candidates."""
        from mcp_cloud_agents.worker.fix.job import FixJob  # other jobs need nothing of it

        started_at = time.monotonic()
        fix = FixJob(self._spec, order, self._places, self._desk, exposure)
        self._run_s = self._hops.run_s(started_at)
        worked = fix.work(sandbox, prepared.env, self._vault.keys, self._run_s)
        self._timings = replace(self._timings, run_s=_since(started_at))
        self._desk.enter(JobState.COLLECTING)
        cause = self._timed(fix.cause(worked))
        state = JobState.SUCCEEDED if cause is None else _state_of(cause.kind)
        self._desk.say(f"{state}: {cause.message if cause else worked.report.summary}")
        result = self._result(state, exit_code=worked.exit_code, cause=cause)
        notes = (
            *refused_localhost(self._isolation, fix.said(worked)),
            *self._spec.setup.notes,
            *worked.notes,
            *self._log_notes(),
        )
        self._desk.finish(fix.result(worked, replace(result, notes=notes)), cause)

    def _collect(self, git: BoxedGit, task: Task, ran: Ran) -> None:
        """Keep what there is, whatever the end was; then judge."""
        started_at = time.monotonic()
        report = task.report()
        git = replace(
            git,
            deadline=started_at + self._hops.collect_s(started_at),
            cancelled=Grace(self._desk.cancelled),
        )
        kept = Kept.collect(git, self._spec.snapshot, task, report, self._places.path("artifacts"))
        self._timings = replace(self._timings, collect_s=_since(started_at))
        verdict = judge(report, exit_code=ran.exit_code) if report is not None else None
        cause = self._cause(task, ran, verdict)
        if cause is None and kept.cancelled:
            cause = cancelled_in_collect(task.tail())
        state = JobState.SUCCEEDED if cause is None else _state_of(cause.kind)
        if cause is not None:
            self._desk.say(f"{state}: {cause.message}")
        result = replace(
            self._result(state, exit_code=ran.exit_code, cause=cause),
            verdict=verdict if cause is None or kept.has_cases else None,
            patch=kept.patch,
            artifacts=kept.artifacts,
            peak_memory_mib=ran.peak_memory_mib,
            notes=(
                *refused_localhost(self._isolation, _said(task, verdict)),
                *self._spec.setup.notes,
                *task.notes,
                *kept.notes,
                *self._log_notes(),
            ),
        )
        self._desk.finish(result, cause)

    def _log_notes(self) -> tuple[str, ...]:
        left_out = self._desk.left_out_bytes
        if not left_out:
            return ()
        limit = f"The log reached its limit of {self._spec.limits.log_bytes >> 20} MiB"
        reason = "The disk was full" if self._desk.disk_full else limit
        return (f"{reason}: {left_out} bytes of the log are left out.",)

    def _cause(self, task: Task, ran: Ran, verdict: Verdict | None) -> Cause | None:
        """Why the job did not do its work; None when it did."""
        if ran.stopped is not None:
            return self._timed(ENDED_EARLY[ran.stopped](self._spec, task.tail()))
        if ran.exit_code is None:
            return sandbox_died(task.tail()) if ran.died else never_started(task.tail())
        if verdict is not None and verdict.outcome is not VerdictOutcome.NONE:
            return None
        if verdict is None and ran.exit_code not in _COULD_NOT_RUN:
            return None
        explained = explain(task.head(), ran.exit_code, self._spec.command)
        if explained is not None or verdict is None:
            return explained
        return no_report(verdict, ran.exit_code, task.tail())

    def _timed(self, cause: Cause | None) -> Cause | None:
        """The cause of a run that ran out of time."""
        if cause is None:
            return None
        own_s = self._spec.limits.timeout_s
        return timed(cause, "while it ran", within_s=self._run_s, limit_s=own_s)

    def _result(self, state: JobState, *, exit_code: int | None, cause: Cause | None) -> JobResult:
        return JobResult(
            job_id=self._spec.id,
            spec_digest=self._spec.digest,
            state=state,
            exit_code=exit_code,
            isolation=self._isolation,
            cause=cause,
            timings=self._timings,
            environment=self._environment,
        )


def _said(task: Task, verdict: Verdict | None) -> Iterator[str]:
    """What there is to read of a run: the ends of its output, and its failing tests."""
    yield task.head()
    yield from task.tail()
    for failure in verdict.failures if verdict is not None else ():
        yield failure.test.message
        yield from failure.test.details


def _since(started_at: float) -> float:
    return round(time.monotonic() - started_at, 3)


def _state_of(kind: CauseKind) -> JobState:
    match kind:
        case CauseKind.CANCELLED:
            return JobState.CANCELLED
        case CauseKind.TIMEOUT | CauseKind.DEADLINE:
            return JobState.TIMED_OUT
        case _:
            return JobState.FAILED
