"""`approve JOB` and `deny JOB`: a person's word about a job that waits for one.

A yes is typed into the terminal itself (`/dev/tty`), below all that it would start; a pipe is not
enough, and what was typed before the question was shown does not count. A script names the exact
digest instead. Neither holds off a program that runs as the same person and wants to: see
docs/approval.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.actor import PERSON
from mcp_cloud_agents.cli.asked import question_rows, shown
from mcp_cloud_agents.cli.person import agrees, check_no_agent
from mcp_cloud_agents.cli.session import FAILED, PASSED, run, say, tell, write
from mcp_cloud_agents.domain.errors import AgentsError, NotAllowed, NothingToApprove
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.domain.money import micros_of, usd
from mcp_cloud_agents.governance.approval import GrantWish
from mcp_cloud_agents.ports.approvals import Answer

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.ports.approvals import Question

_WEEK = 10_080
_AGAIN = "`mcp-cloud-agents approvals` lists what waits for a person."

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the answer.")]


def approve(
    job: Job,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="MINUTES",
            min=0.1,
            max=_WEEK,
            help="Also let further jobs like it start, for so long; needs --up-to.",
        ),
    ] = None,
    up_to: Annotated[
        float | None,
        typer.Option(
            "--up-to", metavar="USD", min=0, max=1e6, help="What those may cost at most, together."
        ),
    ] = None,
    why: Why = "",
    digest: Annotated[
        str,
        typer.Option(
            "--digest",
            metavar="HEX",
            help="Approve without a question, when it is exactly this; for scripts of a person.",
        ),
    ] = "",
) -> None:
    """Show a job that waits for a person, ask in the terminal, and start it. Exit code 1: a no."""
    if (minutes is None) is not (up_to is None):
        raise typer.BadParameter("--for and --up-to go together")
    wish = None
    if minutes is not None and up_to is not None:
        wish = GrantWish(minutes=minutes, up_to_micros=micros_of(up_to))
    view, question = _asked(job)
    if digest:
        _check_digest(question, digest)
    elif not _agreed(view, question, wish):
        say(f"nothing was started; a definite no is: mcp-cloud-agents deny {job}")
        raise typer.Exit(FAILED)

    async def work(runner: JobRunner) -> JobView:
        return await runner.answer(view.spec.id, Answer.APPROVED, actor=PERSON, why=why, grant=wish)

    state = run(work).status.state
    write(f"{job}  approved; it is {state}\n")
    say(f"follow it: mcp-cloud-agents attach {job}")


def deny(job: Job, why: Why = "") -> None:
    """Say no to a job that waits for a person; it ends as cancelled and costs nothing."""

    async def work(runner: JobRunner) -> JobView:
        return await runner.answer(JobId(job), Answer.DENIED, actor=PERSON, why=why)

    write(f"{job}  denied; it is {run(work).status.state}\n")
    raise typer.Exit(PASSED)


def _asked(job: str) -> tuple[JobView, Question]:
    """The job and its question, which still waits; ends the program when there is none."""

    async def work(runner: JobRunner) -> JobView:
        return await runner.look(JobId(job))

    view = run(work)
    if view.question is None:
        tell(NothingToApprove(f"Job {job} is {view.status.state}.", hint=_AGAIN))
    if view.question.answer is not Answer.WAITING:
        said = f"The question about job {job} is {view.question.answer} already."
        tell(NothingToApprove(said, hint=_AGAIN))
    return view, view.question


def _check_digest(question: Question, digest: str) -> None:
    try:
        check_no_agent()
        if digest != question.digest:
            raise NothingToApprove(
                f"The question about job {question.job_id} has another digest.",
                hint=f"See what it asks: mcp-cloud-agents approve {question.job_id}",
            )
    except AgentsError as exc:
        tell(exc)


def _agreed(view: JobView, question: Question, wish: GrantWish | None) -> bool:
    rows = question_rows(view, question)
    ask = "Start exactly this job?"
    if wish is not None:
        rows.append(("and then", _further(question, wish)))
        ask = "Start it, and further jobs like it as said above?"
    try:
        return agrees(shown(rows), f"\n{ask}")
    except NotAllowed as exc:
        tell(exc)


def _further(question: Question, wish: GrantWish) -> str:
    facts = question.facts
    return (
        f"for {wish.minutes:g} minutes every {facts.agent} job on {facts.backend} of "
        f"{facts.workspace} that rule {question.rule} asks about, whatever it runs, up to "
        f"{usd(wish.up_to_micros)} USD together"
    )
