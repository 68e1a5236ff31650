"""What an emulator can be told when it starts; the defaults behave like a small, quick AWS."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

ACCOUNT_ID = "123456789012"  # moto's own, which it also gives to unknown access keys
WORKER = (sys.executable, "-I", "-m", "mcp_cloud_agents.worker.aws")


def any_image() -> Mapping[str, tuple[str, ...]]:
    """Every image is the worker of this very installation."""
    return {"*": WORKER}


@dataclass(frozen=True, slots=True)
class Options:
    """Attributes.

    region: where everything is.
    images: image pattern (`fnmatch`) → its entry point, used when a job has no command. An image
        without a pattern cannot be pulled.
    submit_s, pull_s: how long a job stays SUBMITTED and STARTING.
    stop_grace_s: from SIGTERM to SIGKILL (AWS: 30).
    log_flush_s: how late a log line comes to CloudWatch.
    minimum_timeout_s, minimum_runnable_s: refusals of shorter timeouts (AWS: 60) and queue limits
        (AWS: 600), to be lowered by tests.
    timeout_speed: so many times sooner a job's timeout runs out, so that one of an hour can be
        waited for in a test.
    managed_policies: whether IAM has those of AWS (takes some seconds).
    """

    region: str = "us-east-1"
    images: Mapping[str, tuple[str, ...]] = field(default_factory=any_image)
    submit_s: float = 0.0
    pull_s: float = 0.3
    stop_grace_s: float = 5.0
    log_flush_s: float = 0.2
    minimum_timeout_s: int = 60
    minimum_runnable_s: int = 600
    timeout_speed: float = 1.0
    managed_policies: bool = False

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource in this account and region."""
        return f"arn:aws:{service}:{self.region}:{ACCOUNT_ID}:{resource}"
