"""Confining one command. The contract is in `tests/contracts/test_sandbox.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Confinement, IsolationLevel, Probe


class Confined(Protocol):
    """A command that was started in a sandbox."""

    def fileno(self) -> int:
        """A descriptor that becomes readable when the sandbox has ended (a pidfd)."""
        ...

    def pids(self) -> Sequence[int]:
        """Host pids of the command's whole process tree; empty when it has ended."""
        ...

    def kill(self) -> None:
        """End the whole process tree at once, daemonised children included. Idempotent."""
        ...

    def oom_killed(self) -> bool:
        """Whether the kernel ended a process of it for memory; also tells it after `wait`."""
        ...

    def died(self) -> bool:
        """Whether the sandbox itself was killed by somebody else; ask after `wait`."""
        ...

    def wait(self) -> int | None:
        """Reap the ended sandbox; no process of the command is left when it returns.

        Returns:
            The command's exit code as the sandbox saw it (128 + n for signal n, never forged by
            the command), or None when the command never started.
        """
        ...


class Sandbox(Protocol):
    """Starts commands under a confinement, each from a thread that outlives the command."""

    @property
    def level(self) -> IsolationLevel:
        """The isolation this driver gives when it works."""
        ...

    @property
    def parallel(self) -> bool:
        """Whether several commands may run at once, started by this process or by others."""
        ...

    def probe(self) -> Probe:
        """Whether it works here: really starts one with the full profile (about 10 ms)."""
        ...

    def start(self, argv: Sequence[str], confinement: Confinement, *, output: int) -> Confined:
        """Start a command.

        Args:
            argv: program and arguments, as seen inside.
            confinement: what it may see and use; nothing else is reachable.
            output: descriptor that gets stdout and stderr (the writing end of a pipe).

        Raises:
            IsolationUnavailable: the driver's program is missing.
        """
        ...
