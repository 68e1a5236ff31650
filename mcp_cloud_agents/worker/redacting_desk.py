"""A desk that lets no known secret through: the last door of a worker.

Commands' output comes here without values already (`vault.Exposure`): only there is it known where
one command's output ends. What goes through here besides are our own lines, causes, the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobState
    from mcp_cloud_agents.domain.result import Cause, JobResult, Progress
    from mcp_cloud_agents.ports.desk import Desk
    from mcp_cloud_agents.worker.vault import Vault


class RedactingDesk:
    """`ports.desk.Desk` over another one.

    Args:
        desk: gets what is left.
        vault: knows the values.
    """

    def __init__(self, desk: Desk, vault: Vault) -> None:
        self._desk = desk
        self._vault = vault

    @property
    def left_out_bytes(self) -> int:
        """See the port."""
        return self._desk.left_out_bytes

    @property
    def disk_full(self) -> bool:
        """See the port."""
        return self._desk.disk_full

    def enter(self, state: JobState) -> None:
        """See the port."""
        self._desk.enter(state)

    def log(self, data: bytes) -> None:
        """See the port."""
        self._desk.log(self._vault.redactor.raw(data))

    def say(self, text: str) -> None:
        """See the port."""
        self._desk.say(self._vault.redactor.known(text))

    def beat(self, progress: Progress | None) -> None:
        """See the port."""
        self._desk.beat(progress)

    def cancelled(self) -> bool:
        """See the port."""
        return self._desk.cancelled()

    def finish(self, result: JobResult, cause: Cause | None) -> None:
        """See the port."""
        redactor = self._vault.redactor
        self._desk.finish(redactor.value(result), redactor.value(cause))
