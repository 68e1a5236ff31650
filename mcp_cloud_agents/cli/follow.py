"""Following a job in a terminal: its log as it comes, and below it a line that tells how far it is.

Without a terminal there is the log alone. Only whole lines are shown while the job runs: half a
line could be half a control sequence, and the progress line would be painted over it.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.cli.session import out, say, write
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.rendering import render, render_text

if TYPE_CHECKING:
    from rich.status import Status

    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.domain.status import JobStatus

_PAGE = 65_536
_LONGEST_LINE = 1 << 20
_LOOK_EVERY_S = 1.0


async def follow(runner: JobRunner, job_id: JobId) -> JobView:
    """Show the job until it is done. Raises UnknownJob, JobCorrupt.

    One that waits for a person is waited for in a terminal alone: elsewhere it may be for ever.
    """
    live = sys.stdout.isatty()
    if not await _may_start(runner, job_id, wait=live):
        return await runner.look(job_id)
    log = LiveLog(runner, job_id, live=live)
    with out().status("", spinner="dots") if live else nullcontext() as line:
        async with runner.watch(job_id) as watch:
            while True:
                status = await runner.status(job_id)
                await log.show_new()
                if status.state.done:
                    break
                if line is not None:
                    _tell(line, status)
                await watch.changed(timeout_s=_LOOK_EVERY_S)
        log.show_rest()
    return await runner.look(job_id)


async def _may_start(runner: JobRunner, job_id: JobId, *, wait: bool) -> bool:
    """Whether there is something to follow; says what the job waits for."""
    view = await runner.look(job_id)  # a look starts what was approved
    if wait and _waits(view):
        say(
            f"it waits for a person; in another terminal: mcp-cloud-agents approve {job_id}"
            if view.status.state is JobState.AWAITING_APPROVAL
            else render_text(view.note)
        )
        while _waits(view):
            await anyio.sleep(_LOOK_EVERY_S)
            view = await runner.look(job_id)
    return view.question is None


def _waits(view: JobView) -> bool:
    """Whether it may still start: a person is asked, or agreed to what cannot start now."""
    return view.question is not None and not view.status.state.done


class LiveLog:
    """Prints what is new in a job's log, line by line."""

    def __init__(self, runner: JobRunner, job_id: JobId, *, live: bool) -> None:
        self._runner = runner
        self._job_id: JobId = job_id
        self._live = live
        self._cursor = 0
        self._begun = b""

    async def show_new(self) -> None:
        """Print the lines that were completed since the last look."""
        while True:
            piece = await self._runner.log(self._job_id, offset=self._cursor, limit=_PAGE)
            if not piece.data:
                return
            self._cursor = piece.next_offset
            lines, newline, rest = (self._begun + piece.data).rpartition(b"\n")
            self._begun = rest
            self._print(lines + newline)
            if len(rest) > _LONGEST_LINE:
                self.show_rest()

    def show_rest(self) -> None:
        """Print a last line that was never completed."""
        if self._begun:
            self._print(self._begun + b"\n")
        self._begun = b""

    def _print(self, raw: bytes) -> None:
        if self._live:
            out().out(render(raw), end="", highlight=False)
        else:
            write(render(raw))
            sys.stdout.flush()


def _tell(line: Status, status: JobStatus) -> None:
    from rich.text import Text

    seconds = max(0, round(time.time() - status.history[0][1]))
    text = f"{status.state}  {seconds // 60}:{seconds % 60:02}"
    if status.progress is not None:
        total = f"/{status.progress.total}" if status.progress.total else ""
        text += f"  {status.progress.done}{total} tests, {status.progress.failed} failed"
    line.update(Text(text, no_wrap=True, overflow="ellipsis"))
