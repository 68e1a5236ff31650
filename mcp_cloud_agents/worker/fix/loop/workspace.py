"""The candidate's workspace as pydantic-ai sees it: each file and command through the sandbox.

`Workbench.run` gives one stream, of which the middle may be missing. Here each command writes into
two files of its sandbox, and their sizes come first: what is not whole is an error, never a file's
content. The model's own commands do not go this way (see `tools.run_command`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from pydantic_ai.workspaces import (
    CommandResult,
    SupportsCommands,
    WorkspaceBackend,
    WorkspaceCommand,
    WorkspaceError,
    WorkspaceOutputLimitError,
    WorkspaceRef,
    WorkspaceTimeoutError,
)

from mcp_cloud_agents.worker.fix.engine import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_cloud_agents.worker.fix.engine import Finished

_WRAPPED = """\
kept=$(mktemp -d) || exit 125
(exec "$@") >"$kept/out" 2>"$kept/err" </dev/null
code=$?
printf '%s %s %s\\n' "$code" "$(($(wc -c <"$kept/out")))" "$(($(wc -c <"$kept/err")))"
cat "$kept/out" "$kept/err"
rm -rf "$kept"
"""

_MAX_WORD = 120_000
"""Bytes; Linux takes 128 KiB for one argument (execve(2), MAX_ARG_STRLEN)."""


@dataclass
class Sandboxed:
    """Runs commands one after another, in a thread, never past the candidate's time."""

    run: Runs
    left_s: Callable[[], float]
    command_s: float
    """Seconds for a command that has no deadline of its own, and at most for any."""
    one: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    """The sandbox runs one command at a time."""

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a command; a cancelled wait ends with it, so its deadline is what bounds it.

        Raises:
            IsolationUnavailable: the sandbox did not start.
            CandidateStopped: the candidate is over.
            WorkspaceError: no program can have such arguments: too long, or not encodable.
        """
        wanted = self.command_s if timeout_s is None else min(timeout_s, self.command_s)
        limit_s = max(0.1, min(wanted, self.left_s()))
        call = partial(self.run, argv, timeout_s=limit_s, env=env)
        for word in argv:
            _check(word)
        return await to_thread.run_sync(call, limiter=self.one)


def _check(word: str) -> None:
    """Refuse what no program can have as an argument, before the sandbox fails over it."""
    try:
        size = len(word.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise WorkspaceError("the command has characters that cannot be encoded") from None
    if "\0" in word:
        raise WorkspaceError("the command has a NUL byte")
    if size > _MAX_WORD:
        raise WorkspaceError(f"the command is too long: {size} bytes, and {_MAX_WORD} at most")


@dataclass
class SandboxWorkspace(WorkspaceBackend, SupportsCommands):
    """pydantic-ai's workspace over a sandbox; see `pydantic_ai.workspaces.protocol`."""

    execute: Sandboxed
    _ref: WorkspaceRef = field(
        default_factory=lambda: WorkspaceRef(provider="sandbox", id="candidate")
    )
    _folder: str = ""

    @property
    def ref(self) -> WorkspaceRef:
        """There is one workspace for each candidate."""
        return self._ref

    async def working_dir(self) -> str:
        """Where commands start."""
        if not self._folder:
            told = await self.run(["pwd", "-P"])
            self._folder = told.stdout.removesuffix("\n")
        return self._folder

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  the library's interface
    ) -> CommandResult:
        """See `SupportsCommands.run`."""
        if isinstance(command, str) != shell:
            raise TypeError("a string needs shell=True, an argv needs shell=False")
        argv = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        done = await self.execute(("sh", "-c", _WRAPPED, "sh", *argv), timeout_s=timeout, env=env)
        if done.timed_out:
            raise WorkspaceTimeoutError(f"timed out after {done.duration_s:.0f} s")
        return _result(done)


def _result(done: Finished) -> CommandResult:
    head, _, rest = done.output.partition(b"\n")
    try:
        code, out, err = (int(number) for number in head.split())
    except ValueError:
        said = done.output[-500:].decode("utf-8", "replace")
        raise WorkspaceError(f"the command ended with {done.exit_code}: {said}") from None
    if len(rest) != out + err:
        raise WorkspaceOutputLimitError(
            f"the result is too large ({out + err} bytes): ask for less, "
            "with a narrower path or pattern",
            limit=len(rest),
            stdout=_text(rest[: min(out, len(rest) // 2)]),
        )
    return CommandResult(exit_code=code, stdout=_text(rest[:out]), stderr=_text(rest[out:]))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
