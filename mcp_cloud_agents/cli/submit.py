"""`submit tests|command|fix`: start a job, then follow it unless told not to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mcp_cloud_agents.cli.actor import PERSON
from mcp_cloud_agents.cli.estimate import show_estimate
from mcp_cloud_agents.cli.follow import follow
from mcp_cloud_agents.cli.session import PASSED, REFUSED, run, say, write
from mcp_cloud_agents.cli.show import exit_code, show_job
from mcp_cloud_agents.delegation.place import AUTO
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.delegation.timeout import seconds_of
from mcp_cloud_agents.domain.errors import AgentsError, InvalidArgument
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.fix_policy import FixWish
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.ports.planner import Wish

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner

app = typer.Typer(
    help="Start a job. It runs on a copy of the working tree; Ctrl-C leaves it alone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _seconds(minutes: float | None) -> int | None:
    try:
        return seconds_of(minutes)
    except InvalidArgument as exc:
        raise typer.BadParameter(exc.message) from exc


Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout-minutes",
        metavar="MINUTES",
        help="Wall clock limit of the run, up to 1440; default: your limits.timeout_minutes.",
        show_default=False,
    ),
]
Workspace = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        metavar="PATH",
        help="A folder of the worktree; commands start in it; default: here.",
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend", metavar="NAME", help="Where: auto, local or aws_batch; default: auto."
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start a new job though the same work is under way.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the job's id and leave it alone.")]
Json = Annotated[
    bool, typer.Option("--json", help="Wait silently, then print the result as one JSON object.")
]
Estimated = Annotated[
    bool, typer.Option("--estimate", help="Say what it would cost, and start nothing.")
]
Key = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="The same key is always the same job."),
]


@app.command("tests")
def tests(  # noqa: PLR0913  a command's parameters are its options
    command: Annotated[
        str | None,
        typer.Argument(help="Shell command line, in quotes; default: found from the tree."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="PATH", help="Only these tests; may be repeated."),
    ] = None,
    timeout_minutes: Timeout = None,
    workspace: Workspace = None,
    key: Key = None,
    backend: Backend = AUTO,
    *,
    fresh: Fresh = False,
    detach: Detach = False,
    json: Json = False,
    estimate: Estimated = False,
) -> None:
    """Run the tests of the working tree in a sandboxed job. Exit code 0 only when they passed."""
    wish = Wish(
        kind=Kind.TESTS,
        command=command,
        paths=tuple(path or ()),
        timeout_s=_seconds(timeout_minutes),
    )
    request = _request("run_tests_cloud", wish, workspace, key, backend=backend, fresh=fresh)
    if estimate:
        _estimate(request, json=json)
    _submit(request, detach=detach, json=json)


@app.command("command")
def command(  # noqa: PLR0913  a command's parameters are its options
    command: Annotated[str, typer.Argument(help="Shell command line, in quotes.")],
    timeout_minutes: Timeout = None,
    workspace: Workspace = None,
    key: Key = None,
    backend: Backend = AUTO,
    *,
    fresh: Fresh = False,
    detach: Detach = False,
    json: Json = False,
    estimate: Estimated = False,
) -> None:
    """Run a command on a copy of the working tree in a sandboxed job. Its exit code is ours."""
    wish = Wish(kind=Kind.COMMAND, command=command, timeout_s=_seconds(timeout_minutes))
    request = _request("run_in_sandbox", wish, workspace, key, backend=backend, fresh=fresh)
    if estimate:
        _estimate(request, json=json)
    _submit(request, detach=detach, json=json)


@app.command("fix")
def fix(  # noqa: PLR0913  a command's parameters are its options
    goal: Annotated[str, typer.Argument(help="What shall be true afterwards, in words.")],
    tests: Annotated[
        str | None,
        typer.Option(
            "--tests",
            metavar="COMMAND",
            help="The tests that shall pass; default: all.",
        ),
    ] = None,
    edit: Annotated[
        str | None,
        typer.Option("--command", metavar="COMMAND", help="What edits the files; needs no model."),
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option("--engine", help="Default: command when --command is given, else yours."),
    ] = None,
    attempts: Annotated[
        int,
        typer.Option(
            "--attempts",
            metavar="N",
            help="Candidates made at once; a command alone makes one; default: 1.",
        ),
    ] = 1,
    max_usd: Annotated[
        float | None,
        typer.Option(
            "--max-usd", metavar="USD", help="Most that models may cost; default: your fix.max_usd."
        ),
    ] = None,
    timeout_minutes: Timeout = None,
    workspace: Workspace = None,
    key: Key = None,
    backend: Backend = AUTO,
    *,
    fresh: Fresh = False,
    detach: Detach = False,
    json: Json = False,
    estimate: Estimated = False,
) -> None:
    """Let a subagent make tests pass on a copy of the working tree. Exit code 0: there is a patch.

    The patch is judged in a fresh sandbox; `apply` brings it into the working tree.
    """
    wish = Wish(
        kind=Kind.FIX,
        command=tests,
        timeout_s=_seconds(timeout_minutes),
        fix=FixWish(
            goal=goal, engine=engine, edit_command=edit, attempts=attempts, max_usd=max_usd
        ),
    )
    request = _request("fix_in_sandbox", wish, workspace, key, backend=backend, fresh=fresh)
    if estimate:
        _estimate(request, json=json)
    _submit(request, detach=detach, json=json)


def _request(
    agent: str, wish: Wish, workspace: str | None, key: str | None, *, backend: str, fresh: bool
) -> Request:
    return Request(
        agent=agent,
        workspace=os.path.abspath(workspace or os.getcwd()),
        wish=wish,
        key=f"caller:{key}" if key else None,
        backend=backend,
        actor=PERSON,
        fresh=fresh,
    )


def _submit(request: Request, *, detach: bool, json: bool) -> None:
    async def work(runner: JobRunner) -> int:
        view = await runner.submit(request)
        if detach:
            write(_envelope(view) if json else f"{view.spec.id}\n")
            return PASSED
        if json:
            return _printed(await _silently(runner, view))
        say(f"job {view.spec.id}; attach again any time: mcp-cloud-agents attach {view.spec.id}")
        if view.note:
            say(view.note)
        return show_job(await follow(runner, view.spec.id))

    # A person who names a worktree could as well go there: it needs no allowed_roots.
    raise typer.Exit(run(work, cwd=request.workspace, refuse=_refuse_as_json if json else None))


def _estimate(request: Request, *, json: bool) -> NoReturn:
    async def work(runner: JobRunner) -> int:
        show_estimate(await runner.estimate(request), as_json=json)
        return PASSED

    raise typer.Exit(run(work, cwd=request.workspace, refuse=_refuse_as_json if json else None))


async def _silently(runner: JobRunner, view: JobView) -> JobView:
    while not view.status.state.done and view.question is None:
        view = await runner.wait(view.spec.id, timeout_s=60)
    return view


def _printed(view: JobView) -> int:
    write(_envelope(view))
    return exit_code(view)


def _envelope(view: JobView) -> str:
    """The same JSON that the tools answer."""
    from mcp_cloud_agents.server.views import job_answer  # imports the MCP SDK: 0.7 s

    return f"{job_answer(view).model_dump_json(exclude_none=True)}\n"


def _refuse_as_json(exc: AgentsError) -> NoReturn:
    from mcp_cloud_agents.server.answers import Answer
    from mcp_cloud_agents.server.calls import problem_of

    problem = problem_of(exc)
    answer = Answer(ok=False, summary=problem.message, next=problem.hint, error=problem)
    write(f"{answer.model_dump_json(exclude_none=True)}\n")
    raise typer.Exit(REFUSED)
