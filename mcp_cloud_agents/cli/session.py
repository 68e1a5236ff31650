"""What every command needs: a runner, an event loop, a terminal, errors as a person reads them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, NoReturn, TypeVar

import anyio
import typer

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.domain.errors import AgentsError, BadPaths, UnknownJob
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.settings import load

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from rich.console import Console

    from mcp_cloud_agents.delegation.runner import JobRunner

T = TypeVar("T")
PASSED, FAILED, REFUSED, NOT_DONE, INTERRUPTED = 0, 1, 2, 3, 130
CLOSED = 128 + 13
"""What a shell reports of a program whose reader went away (SIGPIPE)."""


@cache
def out() -> Console:
    """The terminal, or whatever stdout is."""
    from rich.console import Console  # 60 ms that `logs` and pipes do not need

    return Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for the person, beside the output."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def write(text: str) -> None:
    """Text on stdout as it is."""
    sys.stdout.write(text)


def run(
    work: Callable[[JobRunner], Awaitable[T]],
    *,
    cwd: str = "",
    leaving: str = "interrupted; jobs that were started go on",
    refuse: Callable[[AgentsError], NoReturn] | None = None,
) -> T:
    """Do `work` with the runner of this machine; errors are told and end the program.

    Args:
        work: what to do.
        cwd: the folder to work from; empty: the process's own.
        leaving: what to say when the person interrupts.
        refuse: tells an error of ours and ends the program; None: `tell`.
    """
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets

    known = KnownSecrets()

    async def with_runner() -> T:
        return await _interruptible(work(runner_for(load(cwd=cwd), known)))

    try:
        done = anyio.run(with_runner)
        sys.stdout.flush()
    except AgentsError as exc:
        exc.message, exc.hint = known.known(exc.message), known.known(exc.hint)
        (refuse or tell)(exc)
    except KeyboardInterrupt:
        say(leaving)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        silence_stdout()
        raise typer.Exit(CLOSED) from None
    return done


async def _interruptible(work: Awaitable[T]) -> T:
    """Do the work; Ctrl-C cancels it, and a second one ends the program wherever it is.

    The event loop's own answer to Ctrl-C is one cancellation, which is lost when it meets the end
    of a wait; that of a scope stays.
    """
    interrupted = False
    done: list[T] = []
    failed: list[Exception] = []
    async with anyio.create_task_group() as group:

        async def listen(*, task_status: TaskStatus[None]) -> None:
            nonlocal interrupted
            with anyio.open_signal_receiver(signal.SIGINT) as signals:
                task_status.started()
                async for _ in signals:
                    interrupted = True
                    break
            group.cancel_scope.cancel()

        await group.start(listen)
        try:
            done.append(await work)
        except Exception as exc:  # noqa: BLE001  raised below, so that no group is around it
            failed.append(exc)
        group.cancel_scope.cancel()
    if interrupted:
        raise KeyboardInterrupt
    if failed:
        raise failed[0]
    return done[0]


def tell(exc: AgentsError) -> NoReturn:
    """Print an error of ours with the way out, and end with exit code 2."""
    say(f"error {exc.code}: {render_text(exc.message)}")
    if isinstance(exc, BadPaths):
        for path, reason in exc.paths:
            say(f"  {render_text(path)}: {reason}")
    say(f"next  {render_text(hint_of(exc))}")
    raise typer.Exit(REFUSED)


def hint_of(exc: AgentsError) -> str:
    """What a person at a terminal does next, where the error's own hint names a tool."""
    if isinstance(exc, UnknownJob):
        return "`mcp-cloud-agents jobs` lists the jobs and their ids."
    return exc.hint


def silence_stdout() -> None:
    """Nothing more can be written, and the interpreter's own last flush shall not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
