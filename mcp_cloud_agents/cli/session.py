"""What every command needs: a runner, an event loop, errors as a person reads them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import anyio
import typer
from rich.console import Console

from mcp_cloud_agents.bootstrap import build_runner
from mcp_cloud_agents.domain.errors import AgentsError, RefusedFiles
from mcp_cloud_agents.domain.rendering import render_text

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner

T = TypeVar("T")
INTERRUPTED, REFUSED = 130, 2

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def run(work: Callable[[JobRunner], Awaitable[T]]) -> T:
    """Do `work` with the runner of this machine; errors are told and end the program."""
    try:
        return anyio.run(_with_runner, work)
    except AgentsError as exc:
        tell(exc)
    except KeyboardInterrupt:
        err.print("interrupted; jobs go on by themselves", style="dim")
        raise typer.Exit(INTERRUPTED) from None


async def _with_runner(work: Callable[[JobRunner], Awaitable[T]]) -> T:
    return await work(build_runner())


def tell(exc: AgentsError) -> NoReturn:
    """Print an error of ours with the way out, and end with exit code 2."""
    err.print(f"[bold red]error[/] {exc.code}: ", end="")
    err.print(render_text(exc.message), markup=False)
    if isinstance(exc, RefusedFiles):
        for path, reason in exc.paths:
            err.print(f"  {render_text(path)}: {reason}", markup=False)
    err.print("[bold]next[/]  ", end="")
    err.print(render_text(exc.hint), markup=False)
    raise typer.Exit(REFUSED)


def print_json(body: Any) -> None:
    """One JSON document on stdout, for programs."""
    sys.stdout.write(f"{body}\n")
