"""Whether jobs can run in AWS now: identity, queue, definition and bucket, looked at seldom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.domain.sandbox import Enforcement, IsolationLevel, Probe

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.checks import Checks
    from mcp_cloud_agents.settings import AwsSettings

_GOOD_FOR_S, _BAD_FOR_S = 60.0, 5.0
_WITHIN_S = 10.0
_SILENT = "Look at the network of this machine, or run the job with backend=local."
LEVEL = IsolationLevel.CONTAINER
"""Inside a container there are no namespaces of one's own to be had: uid drop and seccomp. Each job
on Fargate has a machine of its own besides."""
_LIMITS = (("timeout", Enforcement.HARD), ("memory", Enforcement.HARD))


class CloudProbe:
    """Remembers a success for a minute and a failure for some seconds."""

    def __init__(self, checks: Checks, aws: AwsSettings) -> None:
        self._checks = checks
        self._driver = f"aws batch {aws.queue} {aws.region}"
        self._found: Probe | None = None
        self._until = float("-inf")
        self._lock = anyio.Lock()

    async def look(self) -> Probe:
        """Look, when it was not just done."""
        async with self._lock:
            if self._found is None or anyio.current_time() >= self._until:
                self._found = await self._look()
                good_for = _GOOD_FOR_S if self._found.works else _BAD_FOR_S
                self._until = anyio.current_time() + good_for
            return self._found

    async def _look(self) -> Probe:
        problem, remedy = f"AWS did not answer within {_WITHIN_S:.0f} s", _SILENT
        with anyio.move_on_after(_WITHIN_S):
            wrong = next((one for one in await self._checks.needed() if not one.ok), None)
            problem, remedy = (wrong.said, wrong.remedy) if wrong else ("", "")
        return Probe(
            level=LEVEL,
            driver=self._driver,
            works=not problem,
            limits=_LIMITS,
            problem=problem,
            remedy=remedy,
        )
