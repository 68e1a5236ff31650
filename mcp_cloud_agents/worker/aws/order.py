"""What the container was told to do: a specification's address, the number of the attempt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPEC = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
    r"/jobs/(?P<job>[A-Za-z0-9][A-Za-z0-9_-]{0,63})/spec\.json",
    re.ASCII,
)
_ATTEMPT = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One attempt at one job."""

    bucket: str
    job_id: str
    attempt: int
    """From 1, as Batch counts."""
    batch_id: str = ""
    """The job's id in Batch; empty outside of it."""

    @staticmethod
    def read(env: Mapping[str, str]) -> Order:
        """From `JOB_SPEC` and what Batch sets.

        Raises:
            InvalidArgument: JOB_SPEC is missing, or no address of a specification.
        """
        spec, attempt = env.get("JOB_SPEC", ""), env.get("AWS_BATCH_JOB_ATTEMPT", "1")
        found = _SPEC.fullmatch(spec)
        if found is None or not _ATTEMPT.fullmatch(attempt):
            raise InvalidArgument(
                f"JOB_SPEC is {spec[:200]!r}, attempt {attempt[:20]!r}: nothing to work on.",
                hint="The worker is started by AWS Batch with JOB_SPEC=s3://bucket/jobs/id/"
                "spec.json; it is no program to run by hand.",
            )
        return Order(
            bucket=found["bucket"],
            job_id=found["job"],
            attempt=int(attempt),
            batch_id=env.get("AWS_BATCH_JOB_ID", ""),
        )
