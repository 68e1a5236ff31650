"""`submit tests|command`: start a job, then follow it unless told not to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.cli.attach import follow
from mcp_cloud_agents.cli.session import err, print_json, run
from mcp_cloud_agents.cli.show import exit_code, show_job
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.server.follow_up import seconds_of
from mcp_cloud_agents.server.views import job_answer

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner

app = typer.Typer(help="Start a job on the working tree.", no_args_is_help=True)

Timeout = Annotated[
    float | None, typer.Option("--timeout-minutes", help="Wall clock limit of the run.")
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", help="A path in the worktree; default: here.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start anew though equal work is running.")]
Detach = Annotated[bool, typer.Option("--detach", help="Print the job's id and leave it alone.")]
Json = Annotated[bool, typer.Option("--json", help="Wait silently, then print the envelope.")]
Key = Annotated[
    str | None, typer.Option("--idempotency-key", help="The same key is always the same job.")
]


@app.command("tests")
def tests(  # noqa: PLR0913  a command's parameters are its options
    command: Annotated[
        str | None, typer.Argument(help="Shell command; default: found from the tree.")
    ] = None,
    path: Annotated[
        list[str] | None, typer.Option("--path", help="Only these tests (repeatable).")
    ] = None,
    timeout_minutes: Timeout = None,
    workspace: Workspace = None,
    key: Key = None,
    *,
    fresh: Fresh = False,
    detach: Detach = False,
    json: Json = False,
) -> None:
    """Run the tests of the working tree in a sandboxed job."""
    wish = Wish(
        kind=Kind.TESTS,
        command=command,
        paths=tuple(path or ()),
        timeout_s=seconds_of(timeout_minutes),
    )
    request = _request("run_tests_cloud", wish, workspace, key, fresh=fresh)
    _submit(request, detach=detach, json=json)


@app.command("command")
def command(  # noqa: PLR0913  a command's parameters are its options
    command: Annotated[str, typer.Argument(help="Shell command line.")],
    timeout_minutes: Timeout = None,
    workspace: Workspace = None,
    key: Key = None,
    *,
    fresh: Fresh = False,
    detach: Detach = False,
    json: Json = False,
) -> None:
    """Run a command on a copy of the working tree in a sandboxed job."""
    wish = Wish(kind=Kind.COMMAND, command=command, timeout_s=seconds_of(timeout_minutes))
    request = _request("run_in_sandbox", wish, workspace, key, fresh=fresh)
    _submit(request, detach=detach, json=json)


def _request(
    agent: str, wish: Wish, workspace: str | None, key: str | None, *, fresh: bool
) -> Request:
    return Request(
        agent=agent,
        workspace=os.path.abspath(workspace or os.getcwd()),
        wish=wish,
        key=f"caller:{key}" if key else None,
        fresh=fresh,
    )


def _submit(request: Request, *, detach: bool, json: bool) -> None:
    async def work(runner: JobRunner) -> int:
        view = await runner.submit(request)
        if detach:
            print_json(
                job_answer(view).model_dump_json(exclude_none=True) if json else view.spec.id
            )
            return 0
        if json:
            return _printed(await _silently(runner, view))
        err.print(
            f"job {view.spec.id}; attach again any time: mcp-cloud-agents attach {view.spec.id}"
        )
        return show_job(await follow(runner, view.spec.id))

    raise typer.Exit(run(work))


async def _silently(runner: JobRunner, view: JobView) -> JobView:
    while not view.status.state.done:
        view = await runner.wait(view.spec.id, timeout_s=60)
    return view


def _printed(view: JobView) -> int:
    answer = job_answer(view)
    print_json(answer.model_dump_json(exclude_none=True))
    return exit_code(view, answer)
