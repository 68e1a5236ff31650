"""The workbench of one candidate: commands in its workspace, its tests, its verification."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.fix import Evidence, Label
from mcp_cloud_agents.domain.result import CauseKind, TestReport
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, inside_tree
from mcp_cloud_agents.governance.redacted_stream import RedactedStream
from mcp_cloud_agents.runners.selection import narrowed
from mcp_cloud_agents.storage.files import write_all, write_durably
from mcp_cloud_agents.worker.fix.checkout import Checkout
from mcp_cloud_agents.worker.fix.collected import collect, nothing_left, suspect
from mcp_cloud_agents.worker.fix.engine import CandidateStopped, Finished
from mcp_cloud_agents.worker.fix.lab import Lab, Stopped
from mcp_cloud_agents.worker.fix.order import judged_name
from mcp_cloud_agents.worker.fix.reproduce import Base
from mcp_cloud_agents.worker.fix.trials import did_not_start, run_tests
from mcp_cloud_agents.worker.fix.verify import verify
from mcp_cloud_agents.worker.run import Ran, Watch, run
from mcp_cloud_agents.worker.setup import environment_binds, search_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEPT_BYTES = 128 << 10
_STDIN = "/tools/stdin"
_WITH_STDIN = 'exec "$@" <"$0"'
_KILLED = 137
_SAID = {
    CauseKind.OOM: b"\n[ended: it used too much memory]\n",
    CauseKind.DISK: b"\n[ended: it wrote too much to disk]\n",
}


class Output:
    """The first and the last of a command's output."""

    def __init__(self) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Take a piece."""
        room = _KEPT_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if (over := len(self._tail) - _KEPT_BYTES) > 0:
            self._left_out += over
            del self._tail[:over]

    def value(self) -> bytes:
        """All of it, or its ends with a line between them."""
        gap = f"\n[{self._left_out} bytes left out]\n".encode() if self._left_out else b""
        return bytes(self._head) + gap + bytes(self._tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Does in the sandbox what an engine asks for.

    Attributes:
        lab: the candidate's; its folder holds the workspace.
        base: what is known of the unchanged tree.
        echo: whether the output of commands goes to the job's log as well.
    """

    lab: Lab
    base: Base
    echo: bool

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        binds: Sequence[Bind] = (),
    ) -> Finished:
        """See `engine.Runs`."""
        left = self._left()
        given, words = self._given(stdin, argv)
        output = Output()

        def sink(data: bytes) -> None:
            output.add(data)
            if self.echo:
                self.lab.desk.log(data)

        watch = Watch(
            timeout_s=min(timeout_s, left),
            disk=(self._workspace,),
            cancelled=self.lab.desk.cancelled,
            tick=lambda: self.lab.desk.beat(None),
        )
        confinement = self._confinement(env or {}, (*given, *binds))
        # It gets no secrets, but may look at what the target's tests left, which got them.
        safe = RedactedStream(self.lab.exposure.redactor, sink)
        ran = run(self.lab.sandbox, words, confinement, sink=safe.feed, watch=watch)
        safe.close()
        return self._finished(ran, output)

    def run_tests(self, ids: Sequence[str]) -> TestReport:
        """See `engine.Workbench.run_tests`."""
        self._left()
        spec, limit = self.lab.spec, self.lab.left_s()
        try:
            command = self._narrowed(ids) if ids else spec.command
            trial = run_tests(self.lab, self._workspace, command, spec.runner, timeout_s=limit)
        except Stopped as exc:
            raise CandidateStopped from exc
        return trial.report or TestReport(problem=trial.problem)

    def _narrowed(self, ids: Sequence[str]) -> str:
        """The target for these tests alone; where that cannot be asked for, all of it."""
        spec, folder = self.lab.spec, self.lab.places.job
        tree = Checkout(folder=folder, git=self.lab.git(folder))
        if spec.runner is None:
            return spec.command
        try:
            return narrowed(spec.runner, spec.command, ids, tree.names_in(spec.folder))
        except InvalidArgument:
            return spec.command

    def verify(self) -> Evidence:
        """See `engine.Workbench.verify`. What comes of it is kept for the worker."""
        self._left()
        folder = self.lab.places.job
        collected = collect(self.lab, folder)
        found = suspect(folder, collected, self.base.tests)
        if found is None:
            why = ("Nothing was changed that a patch can carry.",)
            none = Evidence(label=Label.UNVERIFIED, rejected=True, why=why)
            return nothing_left(collected) or none
        try:
            judged = verify(self.lab, self.base, found)
        except Stopped as exc:
            raise CandidateStopped from exc
        path = os.path.join(folder, judged_name(found.change.tree))
        write_durably(path, msgspec.json.encode(judged))
        return judged.evidence

    @property
    def _workspace(self) -> str:
        return self.lab.places.path("workspace")

    def _left(self) -> float:
        left = self.lab.deadline - time.monotonic()
        if left <= 0 or self.lab.desk.cancelled():
            raise CandidateStopped
        return left

    def _given(self, stdin: bytes, argv: Sequence[str]) -> tuple[tuple[Bind, ...], tuple[str, ...]]:
        """A sandboxed command has no stdin of its own: it reads a file."""
        if not stdin:
            return (), tuple(argv)
        path = self.lab.places.path("stdin")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(fd, 0o644)
            write_all(fd, stdin)
        finally:
            os.close(fd)
        words = ("/bin/sh", "-c", _WITH_STDIN, _STDIN, *argv)
        return (Bind(host=path, inside=_STDIN),), words

    def _confinement(self, env: Mapping[str, str], binds: tuple[Bind, ...]) -> Confinement:
        lab, setup = self.lab, self.lab.spec.setup
        return Confinement(
            binds=(
                Bind(host=self._workspace, inside="/workspace", writable=True),
                *environment_binds(setup, lab.env, uv=lab.places.uv),
                *binds,
            ),
            limits=lab.spec.limits,
            env=(*setup.env, *setup.run_env, *env.items()),
            path=search_path(setup),
            cwd=inside_tree(lab.spec.folder),
            tmpfs=setup.tmpfs if lab.env is not None else (),
        )

    def _finished(self, ran: Ran, output: Output) -> Finished:
        if ran.stopped is CauseKind.CANCELLED or (
            ran.stopped is CauseKind.TIMEOUT and self.lab.left_s() <= 0
        ):
            raise CandidateStopped
        if ran.stopped is not None:
            output.add(_SAID.get(ran.stopped, b""))
        elif ran.exit_code is None:
            raise did_not_start(output.value().decode("utf-8", "replace"))
        return Finished(
            exit_code=_KILLED if ran.exit_code is None else ran.exit_code,
            output=output.value(),
            timed_out=ran.stopped is CauseKind.TIMEOUT,
            duration_s=round(ran.duration_s, 3),
        )
