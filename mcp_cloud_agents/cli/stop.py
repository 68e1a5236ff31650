"""`stop --all` and `resume`: end everything that may cost something, and keep it ended.

    flag ─ audit ─ queues disabled ─ jobs in AWS ended ─ jobs here ended ─ money settled

Each step is made whatever came of the one before; all of it may be repeated.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import anyio.to_thread
import typer

from mcp_cloud_agents.bootstrap.books import os_user
from mcp_cloud_agents.bootstrap.places import job_owner
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.cli.actor import at_a_terminal
from mcp_cloud_agents.cli.person import check_no_agent
from mcp_cloud_agents.cli.session import FAILED, PASSED, say, tell, write
from mcp_cloud_agents.domain.errors import AgentsError, NotAllowed, UnknownJob
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.stopping import Step
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.backend import LOCAL
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.state_folder import StateFolder
from mcp_cloud_agents.storage.stop_flag import Stop, StopFlag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp_cloud_agents.backends.aws_batch.kill_switch import KillSwitch
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.settings import Settings

T = TypeVar("T")
_MOST = 10_000


def stop(
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="For the audit.")] = "",
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All jobs of this deployment, whoever started them.")
    ] = False,
) -> None:
    """End all jobs, here and in AWS, and start none until `resume`. Safe to repeat."""
    if not everything:
        raise typer.BadParameter("say --all: it ends the jobs of everybody in this deployment")
    _make(partial(_stop, why=why))


def resume(
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="For the audit.")] = "",
) -> None:
    """Let jobs start again after `stop --all`."""
    try:
        check_no_agent()
    except NotAllowed as exc:
        tell(exc)
    _make(partial(_resume, why=why))


def _make(work: Callable[[Settings, Steps], Awaitable[None]]) -> None:
    try:
        settings = load()
    except AgentsError as exc:
        tell(exc)
    steps = Steps()
    anyio.run(work, settings, steps)
    if steps.failed:
        say(f"{steps.failed} of these did not work; it is safe to do all of it again")
    raise typer.Exit(FAILED if steps.failed else PASSED)


class Steps:
    """Tells of each step as it is made."""

    def __init__(self) -> None:
        self.failed = 0

    def tell(self, step: Step) -> None:
        """Print one."""
        mark = "FAIL" if step.problem else "done"
        write(f"{mark}  {step.said}\n")
        if step.problem:
            self.failed += 1
            write(f"      {render_text(step.problem)}\n")
            write(f"      next  {render_text(step.hint)}\n")

    async def make(self, said: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do something and tell of it; None: it did not work."""
        try:
            done = await work()
        except AgentsError as exc:
            self.tell(Step(said=said, problem=exc.message, hint=exc.hint))
            return None
        self.tell(Step(said=said))
        return done


async def _stop(settings: Settings, steps: Steps, *, why: str) -> None:
    async def flag() -> None:
        state = StateFolder(settings.state_dir)
        state.open(shared=job_owner(settings) is not None)
        StopFlag(state.path).set(Stop(by=os_user(), at=time.time(), why=why))

    await steps.make("nothing new is started on this machine", flag)
    await steps.make("written into the audit", partial(_note, settings, Action.STOPPED, why))
    if (switch := _kill_switch(settings)) is not None:
        for step in await switch.stop():
            steps.tell(step)
    await _end_here(settings, steps)


async def _resume(settings: Settings, steps: Steps, *, why: str) -> None:
    """What cannot be written into the audit is not done."""
    written = await steps.make(
        "written into the audit", partial(_note, settings, Action.RESUMED, why)
    )
    if written is None:
        return
    if (switch := _kill_switch(settings)) is not None:
        for step in await switch.resume():
            steps.tell(step)

    async def unflag() -> None:
        StopFlag(settings.state_dir).clear()

    await steps.make("jobs may start on this machine", unflag)


async def _note(settings: Settings, action: Action, why: str) -> bool:
    from mcp_cloud_agents.bootstrap.books import audit_for

    entry = Entry(at=time.time(), action=action, actor=at_a_terminal(), reason=why)
    await anyio.to_thread.run_sync(lambda: audit_for(settings).append(entry))
    return True


def _kill_switch(settings: Settings) -> KillSwitch | None:
    if settings.aws is None:
        return None
    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.backends.aws_batch.kill_switch import KillSwitch

    return KillSwitch(Clients(settings.aws), settings.aws)


async def _end_here(settings: Settings, steps: Steps) -> None:
    """Jobs of this machine, those that wait for a person, and the money that both hold."""

    async def made() -> JobRunner:
        return runner_for(settings)

    if (runner := await steps.make("jobs on this machine looked for", made)) is None:
        return
    for job_id in await steps.make("the job index read", partial(_open_here, runner)) or ():
        await steps.make(f"{job_id} asked to end", partial(runner.cancel, job_id, at_a_terminal()))
    await steps.make("money of ended jobs settled", runner.sweep)


async def _open_here(runner: JobRunner) -> list[JobId]:
    found = [question.job_id for question in await runner.questions()]
    for record in await runner.latest(workspace=None, limit=_MOST):
        if record.backend == LOCAL and record.spec.id not in found:
            found += [record.spec.id] if await _goes_on(runner, record.spec.id) else []
    return found


async def _goes_on(runner: JobRunner, job_id: JobId) -> bool:
    """Whether it may still run; one that cannot be read is asked to end as well.

    One that was claimed only is not there: who starts it now ends it when it sees the flag.
    """
    try:
        return not (await runner.status(job_id)).state.done
    except UnknownJob:
        return False
    except AgentsError:
        return True
