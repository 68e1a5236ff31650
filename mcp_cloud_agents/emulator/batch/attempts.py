"""One attempt after the other: pull, process, its faults, its end. On the loop's thread."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.emulator.batch.container import CannotStart, Containers
from mcp_cloud_agents.emulator.batch.job import Attempt, Job, now_ms
from mcp_cloud_agents.emulator.batch.shapes import part
from mcp_cloud_agents.emulator.batch.task import LogTail, Task
from mcp_cloud_agents.emulator.batch.world import World
from mcp_cloud_agents.emulator.job_faults import JobFault, JobFaults
from mcp_cloud_agents.emulator.loop import Loop, Timer
from mcp_cloud_agents.emulator.refusals import Refused
from mcp_cloud_agents.emulator.warden import Warden

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.resources import ComputeEnvironment

EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
SPOT = "Your Spot Task was interrupted."
HOST_GONE = "Host EC2 (instance i-0123456789abcdef0) terminated."
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
DEFAULT_GROUP = "/aws/batch/job"
_CANNOT_PULL = (
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve"
    " ref: not found"
)
_NO_INIT = (
    "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull"
    " registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR."
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; `reason` is the container's, `status_reason` the task's."""

    status_reason: str
    reason: str | None = None
    exit_code: int | None = None
    timed_out: bool = False
    at: int = field(default_factory=now_ms)


Running = Callable[[Job, Attempt], None]
Ended = Callable[[Job, Attempt, Ending], None]


@dataclass(slots=True)
class _Run:
    """An attempt under way."""

    job: Job
    attempt: Attempt
    faults: dict[str, JobFault]
    running: Running
    ended: Ended
    timers: list[Timer] = field(default_factory=list[Timer])
    task: Task | None = None
    fate: Ending | None = None
    """How it ends although its process would end otherwise: killed, out of time, reclaimed."""


@dataclass(slots=True)
class Attempts:
    """All attempts under way, by task id."""

    loop: Loop
    world: World
    containers: Containers
    faults: JobFaults
    warden: Warden
    runs: dict[str, _Run] = field(default_factory=dict[str, _Run])

    def new(self, job: Job, environment: ComputeEnvironment) -> Attempt:
        """The record of the next attempt."""
        task_id = self.containers.instance + uuid.uuid4().hex[:24]
        arn = self.containers.options.arn("ecs", f"task/{environment.name}_Batch/{task_id}")
        return Attempt(len(job.attempts) + 1, task_id, arn, environment)

    def start(self, job: Job, attempt: Attempt, running: Running, ended: Ended) -> None:
        """Pull, then run; `running` and `ended` are called later, from the loop."""
        faults = self.faults.of(job, attempt.number)
        run = _Run(job, attempt, faults, running, ended)
        self.runs[attempt.task_id] = run
        slower = faults["slow_start"].by_s if "slow_start" in faults else 0.0
        pull_s = self.containers.options.pull_s + slower
        run.timers.append(self.loop.later(pull_s, lambda: self._begin(run)))

    def stop(self, attempt: Attempt, reason: str) -> None:
        """Somebody wants it gone."""
        run = self.runs.get(attempt.task_id)
        if run is None:
            return
        if run.task is None:
            self._end(run, Ending(reason))
            return
        run.fate = run.fate or Ending(reason)
        run.task.interrupt(self.containers.options.stop_grace_s)

    def kill_all(self) -> None:
        """End all processes at once; nobody is told."""
        for run in list(self.runs.values()):
            self._forget(run)
            if run.task is not None:
                run.task.end()

    def _begin(self, run: _Run) -> None:
        try:
            self._refuse(run)
            launch = self.containers.launch(run.job, run.attempt)
            log = self._log(run)
            run.task = Task(self.loop, launch, log, lambda code: self._exited(run, log, code))
        except CannotStart as cannot:
            reason = cannot.reason if cannot.container else None
            self._end(run, Ending(cannot.reason, reason))
            return
        except OSError as exc:
            why = f"{exc.strerror}: {exc.filename}"
            reason = f"CannotStartContainerError: failed to create task: {why}"
            self._end(run, Ending("Task failed to start", reason))
            return
        self.warden.guard(run.task.pid)
        run.attempt.started_at = now_ms()
        self._plan(run)
        run.running(run.job, run.attempt)

    def _refuse(self, run: _Run) -> None:
        for kind, text, container in (
            ("cannot_pull", _CANNOT_PULL, True),
            ("resource_init", _NO_INIT, False),
        ):
            if (fault := run.faults.get(kind)) is not None:
                raise CannotStart(fault.reason or text, container=container)
        self.containers.check_image(run.job)

    def _log(self, run: _Run) -> LogTail:
        """The attempt's stream, made before the container starts as the awslogs driver does."""
        job, attempt = run.job, run.attempt
        options = part(part(job.request.container, "logConfiguration"), "options")
        group = str(options.get("awslogs-group", DEFAULT_GROUP))
        prefix = options.get("awslogs-stream-prefix", job.definition.name)
        stream = f"{prefix}/default/{attempt.task_id}"
        try:
            self.world.create_log_stream(group, stream)
        except Refused as refused:
            reason = (
                "ResourceInitializationError: failed to validate logger args: create stream has"
                f" been retried 1 time(s): {refused.code}: {refused.message} : exit status 1"
            )
            raise CannotStart(reason, container=False) from refused
        attempt.log_stream = stream
        late = run.faults.get("log_delay")
        flush_s = self.containers.options.log_flush_s if late is None else late.by_s
        if "no_logs" in run.faults:
            return LogTail(self.loop, lambda lines: None, flush_s)
        return LogTail(
            self.loop, lambda lines: self.world.put_log_lines(group, stream, lines), flush_s
        )

    def _plan(self, run: _Run) -> None:
        """What will happen to the process if it lives that long."""
        grace_s = self.containers.options.stop_grace_s
        if (seconds := run.job.request.timeout_s) is not None:
            due_s = seconds / self.containers.options.timeout_speed
            self._later(run, due_s, Ending(TIMED_OUT, timed_out=True), grace_s)
        if (oom := run.faults.get("oom")) is not None:
            self._later(run, oom.after_s, Ending(EXITED, oom.reason or OUT_OF_MEMORY, 137), 0)
        if (spot := run.faults.get("reclaim")) is not None:
            reason = spot.reason or (HOST_GONE if spot.host else SPOT)
            self._later(run, spot.after_s, Ending(reason), 0 if spot.host else grace_s)

    def _later(self, run: _Run, seconds: float, fate: Ending, grace_s: float) -> None:
        def meet() -> None:
            if run.task is not None and run.fate is None:
                run.fate = fate
                if grace_s:
                    run.task.interrupt(grace_s)
                else:
                    run.task.kill()

        run.timers.append(self.loop.later(seconds, meet))

    def _exited(self, run: _Run, log: LogTail, code: int) -> None:
        log.end(at_once="log_delay" not in run.faults)
        fate = run.fate
        if fate is None:
            self._end(run, Ending(EXITED, exit_code=code))
            return
        gone = (fault := run.faults.get("reclaim")) is not None and fault.host
        told = None if gone and not fate.timed_out else fate.exit_code or code
        self._end(run, Ending(fate.status_reason, fate.reason, told, fate.timed_out))

    def _end(self, run: _Run, ending: Ending) -> None:
        if self.runs.get(run.attempt.task_id) is run:
            self._forget(run)
            run.ended(run.job, run.attempt, ending)

    def _forget(self, run: _Run) -> None:
        task_id = run.attempt.task_id
        del self.runs[task_id]
        self.containers.roles.pop(task_id, None)
        for timer in run.timers:
            timer.cancel()
        if run.task is not None:
            self.warden.release(run.task.pid, self.containers.task_mark(task_id))
        shutil.rmtree(self.containers.root / task_id, ignore_errors=True)
