"""The worker's client of S3: its container's own role, nothing of a person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from mcp_cloud_agents.storage.s3_calls import S3Client


def s3_client() -> S3Client:
    """Region, endpoint and credentials come from the environment that Batch and ECS set.

    A call is given up after about a minute, so that whoever waits for it can look at its own time.

    Raises:
        StoreUnavailable: the container's credentials cannot be had now; the SDK asks for them here.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import CredentialRetrievalError

    config = Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=3,
        read_timeout=20,
        max_pool_connections=16,
    )
    try:
        return cast("S3Client", cast("Any", boto3).client("s3", config=config))
    except CredentialRetrievalError as exc:
        raise StoreUnavailable(
            f"The credentials of the container's role cannot be had: {exc}.",
            hint="It passes by itself as a rule; if not, look at the job role of the definition.",
        ) from exc
