"""What AWS bills for a machine, its log and its address; pure, exact, in dollars.

    rate_h  = (vcpu · V + gib · M + max(0, disk - 20) · D) · region + public IPv4
    attempt = rate_h · max(60, pull + run) / 3600

Requested is billed, not used: from the pull of the image to the end of the task, by the second,
at least a minute (https://aws.amazon.com/fargate/pricing/).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from mcp_cloud_agents.backends.aws_batch.prices import exact, factor_of
from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.settings import Architecture

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.prices import Prices
    from mcp_cloud_agents.backends.aws_batch.sizes import Size
    from mcp_cloud_agents.settings import AwsSettings

END_S = 45
"""From a job's last word, or its time limit, to the end of its task: SIGKILL after 30, slack."""
LOG_FACTOR = 4
"""Bytes in CloudWatch for one of a log: see `storage/log_frames.py`."""
_LEAST_S = 60
_FREE_DISK_GIB = 20
_PRIVATE = "private"
"""The network profile whose tasks have no public address."""


def rate_h(size: Size, aws: AwsSettings, prices: Prices) -> Decimal:
    """Dollars an hour, on demand, of a machine of this size.

    Raises:
        InvalidArgument: it runs on instances whose price nobody told.
    """
    address = Decimal(0) if aws.network == _PRIVATE else exact(prices.public_ipv4_h)
    if aws.queue.on_instances:
        return _instance_h(aws, prices) + address
    fargate = prices.fargate
    arm = aws.architecture is Architecture.ARM64
    vcpu_h = exact(fargate.arm_vcpu_h if arm else fargate.x86_vcpu_h)
    gib_h = exact(fargate.arm_gib_h if arm else fargate.x86_gib_h)
    disk_gib = max(0, aws.ephemeral_storage_gib - _FREE_DISK_GIB)
    parts = (
        exact(size.vcpus) * vcpu_h,
        Decimal(size.memory_mib) / 1024 * gib_h,
        disk_gib * exact(fargate.disk_gib_h),
    )
    return sum(parts, Decimal(0)) * factor_of(prices.factors.compute, aws.region) + address


def _instance_h(aws: AwsSettings, prices: Prices) -> Decimal:
    told = prices.instance_h.get(aws.queue)
    if told is None:
        raise InvalidArgument(
            f"Jobs on the queue {aws.queue} run on instances, and nobody told what these cost.",
            hint=f"Write the table [instance_h] with {aws.queue} = the dollars of an hour of its "
            "largest instance type into prices.toml beside your config.toml, or use Fargate.",
        )
    return exact(told)


def attempt_usd(hourly: Decimal, pull_s: float, run_s: float) -> Decimal:
    """Dollars for one task that ran so long after its image was pulled."""
    return hourly * max(Decimal(_LEAST_S), exact(pull_s) + exact(run_s)) / 3600


def log_usd(log_bytes: int, aws: AwsSettings, prices: Prices) -> Decimal:
    """Dollars for taking a log of so many bytes into CloudWatch."""
    billed_gb = Decimal(log_bytes * LOG_FACTOR) / 10**9
    return billed_gb * exact(prices.log_gb) * factor_of(prices.factors.logs, aws.region)
