"""Ends everything of this deployment in AWS Batch, and keeps new jobs out, until a person resumes.

A disabled queue refuses jobs; those that are in it would still run, so they are ended one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.backends.aws_batch.answers import records
from mcp_cloud_agents.backends.aws_batch.causes import CANCELLED_BY_US
from mcp_cloud_agents.backends.aws_batch.request import NAME_PREFIX
from mcp_cloud_agents.backends.aws_batch.seen import Rank
from mcp_cloud_agents.domain.errors import BackendFailed, CloudDenied
from mcp_cloud_agents.domain.stopping import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.settings import AwsSettings

MOST_TERMINATED = 50
"""Ids that one TerminateJobs takes (AWS Batch API reference)."""
_PASSES = 3
"""A job that is started again goes back while the states are looked through."""
_OPEN = tuple(rank for rank in Rank if not rank.final)
_OPERATOR = (
    "It needs batch:UpdateJobQueue on the queue, which the policy for submitters leaves out "
    "(docs/aws.md, Stop everything); somebody who has it can disable the queue."
)


class KillSwitch:
    """Works with nothing but the settings: no ledger, no bucket, no record of a job."""

    def __init__(self, clients: Clients, aws: AwsSettings) -> None:
        self._clients = clients
        self._queues = tuple(dict.fromkeys(aws.queues.values()))

    async def stop(self) -> tuple[Step, ...]:
        """Disable each queue, and end all jobs of ours in it; safe to repeat."""
        steps = [await self._switch(queue, "DISABLED") for queue in self._queues]
        return (*steps, *[await self._end_jobs(queue) for queue in self._queues])

    async def resume(self) -> tuple[Step, ...]:
        """Let each queue take jobs again."""
        return tuple([await self._switch(queue, "ENABLED") for queue in self._queues])

    async def _switch(self, queue: str, state: str) -> Step:
        said = f"queue {_short(queue)} {state.lower()}"
        try:
            await self._clients.change(
                "batch",
                "update_job_queue",
                "switching the queue",
                queue,
                jobQueue=queue,
                state=state,
            )
        except BackendFailed as exc:
            hint = _OPERATOR if isinstance(exc, CloudDenied) else exc.hint
            return Step(said=said, problem=exc.message, hint=hint)
        return Step(said=said)

    async def _end_jobs(self, queue: str) -> Step:
        asked: set[str] = set()
        errors: list[str] = []
        problem, hint = "", ""
        try:
            for _ in range(_PASSES):
                found = [one for one in await self._open_jobs(queue) if one not in asked]
                if not found:
                    break
                errors += await self._terminate(found)
                asked.update(found)
        except BackendFailed as exc:
            problem, hint = exc.message, exc.hint
        if errors:
            problem = f"{len(errors)} jobs were not ended: {errors[0]}. {problem}".strip()
        said = f"{len(asked) - len(errors)} jobs ended on the queue {_short(queue)}"
        return Step(said=said, problem=problem, hint=hint or ("Stop again." if problem else ""))

    async def _open_jobs(self, queue: str) -> list[str]:
        """Ids of our jobs that are not done, earliest state first: jobs move on meanwhile."""
        return [one for rank in _OPEN for one in await self._in_state(queue, rank.name)]

    async def _in_state(self, queue: str, state: str) -> list[str]:
        found: list[str] = []
        more: dict[str, Any] = {}
        while True:
            answer = await self._clients.read(
                "batch", "list_jobs", "listing jobs", queue, jobQueue=queue, jobStatus=state, **more
            )
            found += [
                str(one.get("jobId"))
                for one in records(answer, "jobSummaryList")
                if str(one.get("jobName", "")).startswith(NAME_PREFIX)
            ]
            if not (token := answer.get("nextToken")):
                return found
            more = {"nextToken": token}

    async def _terminate(self, job_ids: Sequence[str]) -> list[str]:
        """What was said of those that could not be ended."""
        errors: list[str] = []
        for start in range(0, len(job_ids), MOST_TERMINATED):
            some = job_ids[start : start + MOST_TERMINATED]
            answer = await self._clients.change(
                "batch", "terminate_jobs", "ending jobs", jobs=some, reason=CANCELLED_BY_US
            )
            errors += [str(one) for one in records(answer, "errors")]
        return errors


def _short(queue: str) -> str:
    """The name at the end of an ARN."""
    return queue.rpartition("/")[2]
