"""Settings that the tests of the AWS backend start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcp_cloud_agents.settings import AwsQueue, AwsSettings

AWS = AwsSettings(
    region="eu-central-1",
    account_id="111122223333",
    bucket="agents-bucket",
    queues={
        AwsQueue.FARGATE: "agents-fargate",
        AwsQueue.FARGATE_SPOT: "agents-spot",
        AwsQueue.GPU: "agents-gpu",
    },
    job_definitions={"x86_64": "agents-x86", "arm64": "agents-arm", "gpu": "agents-gpu"},
    log_group="/agents/jobs",
)


def some_aws(**changes: Any) -> AwsSettings:
    """The settings, with some replaced."""
    return replace(AWS, **changes)
