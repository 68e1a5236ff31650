"""Puts the parts of the AWS backend together; boto3 is imported with the first call."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mcp_cloud_agents.backends.aws_batch.backend import AwsBatchBackend
from mcp_cloud_agents.backends.aws_batch.checks import Checks
from mcp_cloud_agents.backends.aws_batch.clients import Clients
from mcp_cloud_agents.backends.aws_batch.follower import Follower
from mcp_cloud_agents.backends.aws_batch.objects import Objects
from mcp_cloud_agents.backends.aws_batch.probe import CloudProbe
from mcp_cloud_agents.backends.aws_batch.submission import Finder, Submission
from mcp_cloud_agents.backends.aws_batch.team_table import TeamTable
from mcp_cloud_agents.snapshots.shipping import Shipper
from mcp_cloud_agents.storage.dynamo_ledger import DynamoLedger
from mcp_cloud_agents.storage.s3_store import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.backends.aws_batch.submission import Shipping
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.settings import AwsSettings
    from mcp_cloud_agents.snapshots.store import Stores
    from mcp_cloud_agents.storage.s3_calls import S3Client


def aws_backend(
    aws: AwsSettings, stores: Stores, met: Callable[[str], object] = str
) -> AwsBatchBackend:
    """The backend of the person's account.

    Args:
        aws: `settings.aws`, checked.
        stores: the object stores on this machine, which snapshots are shipped from.
        met: is told the ARN that we are, whenever it was asked for.
    """
    clients = Clients(aws)
    store = bucket_store(aws, clients)
    return _backend(aws, clients, store, Shipper(stores, store), met)


def backend_of(aws: AwsSettings, shipper: Shipping) -> AwsBatchBackend:
    """The same with another way for the packs."""
    clients = Clients(aws)
    return _backend(aws, clients, bucket_store(aws, clients), shipper)


def _backend(
    aws: AwsSettings,
    clients: Clients,
    store: Store,
    shipper: Shipping,
    met: Callable[[str], object] = str,
) -> AwsBatchBackend:
    objects = Objects(store)
    finder = Finder(clients, aws, objects)
    return AwsBatchBackend(
        clients,
        objects,
        Follower(clients, aws, objects, finder),
        Submission(clients, aws, objects, shipper, finder),
        CloudProbe(Checks(clients, aws, met=met), aws),
    )


def team_ledger(aws: AwsSettings, table: str) -> DynamoLedger:
    """The ledger that a team shares.

    Args:
        aws: `settings.aws`, checked.
        table: its name, in the region of these settings.
    """
    return DynamoLedger(TeamTable(Clients(aws), table))


def bucket_store(aws: AwsSettings, clients: Clients) -> Store:
    """The bucket as a store."""
    client = cast("S3Client", clients.objects())
    return S3Store(client, aws.bucket, owner=aws.account_id or None)


def audit_store(aws: AwsSettings) -> Store:
    """The bucket that the audit is copied to, as a store; `audit_bucket` is set."""
    client = cast("S3Client", Clients(aws).objects())
    return S3Store(client, aws.audit_bucket, owner=aws.account_id or None)
