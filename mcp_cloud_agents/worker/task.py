"""The run phase: the job's command in the sandbox, its output kept, its report read as data."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, inside_tree
from mcp_cloud_agents.governance.redacted_stream import RedactedStream
from mcp_cloud_agents.runners.detect import runner_named
from mcp_cloud_agents.runners.progress import ProgressReader
from mcp_cloud_agents.runners.runner import Inside
from mcp_cloud_agents.worker.places import ReportFolder
from mcp_cloud_agents.worker.run import Ran, Watch, run
from mcp_cloud_agents.worker.setup import environment_binds, search_path
from mcp_cloud_agents.worker.vault import BARE, Exposure

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.result import Progress, TestReport
    from mcp_cloud_agents.ports.sandbox import Sandbox
    from mcp_cloud_agents.worker.places import Places

_KEPT_BYTES = 65_536
_EXCERPT_LINES = 20
_PROGRESS_EVERY_S = 0.25


class Follower(Protocol):
    """Who follows a run; a desk is one."""

    def log(self, data: bytes) -> None:
        """Output of the command."""
        ...

    def beat(self, progress: Progress | None) -> None:
        """Called about every 50 ms; None: no news."""
        ...

    def cancelled(self) -> bool:
        """Whether the run must end."""
        ...


class Task:
    """One run of the job's command.

    Args:
        spec: what to run, and under which limits.
        places: where its things are; a fresh report folder is made there.
        desk: who follows it.
        workspace: host folder of the tree; empty: the job's.
        exposure: the secrets that its command gets; what it says and reports has none.
    """

    def __init__(
        self,
        spec: JobSpec,
        places: Places,
        desk: Follower,
        *,
        workspace: str = "",
        exposure: Exposure = BARE,
    ) -> None:
        self.exposure = exposure
        self._output = RedactedStream(exposure.redactor, self._keep)
        self._spec = spec
        self._places = places
        self._desk = desk
        self._workspace = workspace or places.path("workspace")
        inside = Inside(tree=places.tree, folder=spec.folder)
        self._runner = runner_named(spec.runner, inside) if spec.runner else None
        self._filter = self._runner.log_filter() if self._runner else None
        self._root = places.make_report_folder()
        self.folder = ReportFolder(self._root)
        self._progress = ProgressReader(self.folder)
        self._looked_at = 0.0
        self._head, self._tail = bytearray(), bytearray()
        self.notes: tuple[str, ...] = ()

    def run(self, sandbox: Sandbox, env: str | None, *, within_s: float | None = None) -> Ran:
        """Run the command to its end.

        Args:
            sandbox: confines it.
            env: host folder of the environment; None: there is none.
            within_s: less than the job's own limit, where less is left.

        Raises:
            IsolationUnavailable: the sandbox did not start.
        """
        command, extra_env, tools = self._instrumented()
        confinement = Confinement(
            binds=(
                Bind(host=self._workspace, inside="/workspace", writable=True),
                *environment_binds(self._spec.setup, env, uv=self._places.uv),
                Bind(host=self._places.path("report"), inside="/report", writable=True),
                *tools,
            ),
            limits=self._spec.limits,
            env=(
                *self._spec.setup.env,
                *self._spec.setup.run_env,
                *extra_env,
                *self.exposure.env,
            ),
            path=search_path(self._spec.setup),
            cwd=inside_tree(self._spec.folder),
            tmpfs=self._spec.setup.tmpfs if env is not None else (),
        )
        watch = Watch(
            timeout_s=self._spec.limits.timeout_s if within_s is None else within_s,
            disk=(self._workspace, self._places.path("report")),
            cancelled=self._desk.cancelled,
            tick=self._tick,
        )
        self._desk.log(f"{self._spec.folder}$ {self._spec.command}\n".encode())
        ran = run(sandbox, ("/bin/sh", "-c", command), confinement, sink=self._sink, watch=watch)
        if self._filter is not None:
            self._output.feed(self._filter.flush())
        self._output.close()
        return ran

    def report(self) -> TestReport | None:
        """What the tests reported; None for a plain command."""
        if self._runner is None:
            return None
        return self.exposure.redactor.value(self._runner.read(self.folder))

    def head(self) -> str:
        """The first output, rendered."""
        return render(bytes(self._head))

    def tail(self) -> tuple[str, ...]:
        """The last lines of output, rendered."""
        lines = render(bytes(self._tail)).split("\n")
        return tuple([line for line in lines if line.strip()][-_EXCERPT_LINES:])

    def close(self) -> None:
        """Let the report folder go."""
        os.close(self._root)

    def _instrumented(self) -> tuple[str, tuple[tuple[str, str], ...], tuple[Bind, ...]]:
        if self._runner is None:
            return self._spec.command, (), ()
        instrumented = self._runner.instrument(self._spec.command)
        self.notes = instrumented.notes
        tools = tuple(
            Bind(host=self._places.copy_tool(tool.host, tool.name), inside=tool.inside)
            for tool in self._runner.tools()
        )
        return instrumented.command, instrumented.env, tools

    def _sink(self, data: bytes) -> None:
        self._output.feed(self._filter.feed(data) if self._filter is not None else data)

    def _keep(self, data: bytes) -> None:
        self._desk.log(data)
        if (room := _KEPT_BYTES - len(self._head)) > 0:
            self._head += data[:room]
        self._tail += data
        del self._tail[:-_KEPT_BYTES]

    def _tick(self) -> None:
        now = time.monotonic()
        progress = None
        if self._runner is not None and now - self._looked_at > _PROGRESS_EVERY_S:
            self._looked_at = now
            progress = self._progress.read()
        self._desk.beat(progress)
