"""The worker's client of S3: its container's own role, nothing of a person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mcp_cloud_agents.storage.s3_calls import S3Client


def s3_client() -> S3Client:
    """Region, endpoint and credentials come from the environment that Batch and ECS set.

    A call is given up after about a minute, so that whoever waits for it can look at its own time.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=3,
        read_timeout=20,
        max_pool_connections=16,
    )
    session: Any = cast("Any", boto3).Session()
    return cast("S3Client", session.client("s3", config=config))
