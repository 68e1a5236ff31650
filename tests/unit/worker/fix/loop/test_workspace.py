"""The library's own rules for workspaces, over a real sandbox; and what ours adds."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import pytest
from pydantic_ai.workspaces import (
    Workspace,
    WorkspaceBackend,
    WorkspaceError,
    WorkspaceOutputLimitError,
    WorkspaceTimeoutError,
)
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.worker.fix.engine import Finished
from mcp_cloud_agents.worker.fix.loop.workspace import Sandboxed, SandboxWorkspace
from tests.fix_bench import runs_in
from tests.sandbox_box import Box

pytestmark = pytest.mark.anyio


def workspace_in(box: Box, *, left_s: float = 600, command_s: float = 60) -> SandboxWorkspace:
    return SandboxWorkspace(Sandboxed(runs_in(box), lambda: left_s, command_s))


@pytest.mark.slow
class TestConformance(WorkspaceBackendSuite):
    """Each test is a rule of the library."""

    @pytest.fixture
    def backend(self, box: Box) -> WorkspaceBackend:
        return workspace_in(box, command_s=120)

    async def test_cancellation_stops_foreground_work(
        self,
        backend: WorkspaceBackend,
        has_real_posix_shell: bool,
    ) -> None:
        """Here the command's own deadline ends it: a cancelled wait is over when the command is.

        The library's test looks a process up by its number, from another pid namespace.
        """
        assert has_real_posix_shell
        assert isinstance(backend, SandboxWorkspace)
        workspace = Workspace(backend)
        with suppress(WorkspaceTimeoutError), anyio.move_on_after(0.2):
            await backend.run(["sh", "-c", "sleep 60; touch late"], timeout=1)
        assert not await workspace.exists(posixpath.join(await backend.working_dir(), "late"))

    async def test_background_child_does_not_hold_up_completed_command(
        self,
        backend: WorkspaceBackend,
        has_real_posix_shell: bool,
        can_detect_exit_with_inherited_output_pipes: bool,
    ) -> None:
        """The child ends with its command: nothing of a sandbox outlives it."""
        assert has_real_posix_shell
        assert can_detect_exit_with_inherited_output_pipes
        assert isinstance(backend, SandboxWorkspace)
        with anyio.fail_after(30):
            result = await backend.run(["sh", "-c", "(sleep 3600; touch late) & printf done"])
        assert (result.exit_code, result.stdout) == (0, "done")


async def test_a_result_that_is_not_whole_is_an_error_and_no_content(box: Box) -> None:
    workspace = workspace_in(box)
    with pytest.raises(WorkspaceOutputLimitError, match="ask for less"):
        await workspace.run(["sh", "-c", "head -c 600000 /dev/zero"])


@dataclass
class Answers:
    """`engine.Runs` that has one answer for all."""

    output: bytes
    exit_code: int = 0
    limits: list[float] = field(default_factory=list[float])

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        binds: Sequence[Bind] = (),
    ) -> Finished:
        del argv, env, stdin, binds
        self.limits.append(timeout_s)
        return Finished(exit_code=self.exit_code, output=self.output)


async def test_a_command_never_runs_past_the_candidates_time() -> None:
    answers = Answers(b"0 0 0\n")
    workspace = SandboxWorkspace(Sandboxed(answers, lambda: 5.0, 60.0))
    await workspace.run(["true"])
    await workspace.run(["true"], timeout=3)
    await workspace.run(["true"], timeout=3_600)
    assert answers.limits == [5.0, 3.0, 5.0]


async def test_a_sandbox_that_says_something_else_is_an_error_with_its_words() -> None:
    answers = Answers(b"[ended: it used too much memory]\n", exit_code=137)
    workspace = SandboxWorkspace(Sandboxed(answers, lambda: 5.0, 60.0))
    with pytest.raises(WorkspaceError, match=r"ended with 137.*too much memory"):
        await workspace.run(["true"])


async def test_a_builtin_of_the_shell_named_as_a_program_ends_only_itself(box: Box) -> None:
    result = await workspace_in(box).run(["exit", "3"])
    assert result.exit_code == 127
