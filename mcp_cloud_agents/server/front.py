"""What the tools stand on: the job runner, built on first use, and the updates it pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.delegation.runner import JobRunner


class Front:
    """Shared by all tools of one server.

    Args:
        workspace: the folder a call means when it names none: the server's working directory.
        build: makes the runner; blocks, and is called again after it failed, so that a state
            folder that was mended works without a new server.
        ask_s: how long a call waits for the client's person to answer a question.
        redact: takes the secrets that this process knows out of a text.
    """

    def __init__(
        self,
        workspace: str,
        build: Callable[[], JobRunner],
        *,
        ask_s: float = 45.0,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.workspace = workspace
        self.ask_s = ask_s
        self.redact = redact
        self._build = build
        self._built: JobRunner | None = None
        self._building = anyio.Lock()

    async def runner(self) -> JobRunner:
        """The runner. Raises StateUnusable, BadConfig, NoSpace: for the caller to see."""
        if self._built is None:
            async with self._building:
                if self._built is None:
                    self._built = await anyio.to_thread.run_sync(self._build)
        return self._built
