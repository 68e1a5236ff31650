"""The table of prices, the person's words over it, and what comes of it, by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.backends.aws_batch.prices import Prices, load_prices
from mcp_cloud_agents.backends.aws_batch.pricing import AwsPricing
from mcp_cloud_agents.backends.aws_batch.rates import attempt_usd, rate_h
from mcp_cloud_agents.backends.aws_batch.sizes import Size
from mcp_cloud_agents.cli.prices_check import prices
from mcp_cloud_agents.domain.errors import BadConfig, InvalidArgument
from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.money import micros_of
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.settings import Architecture, AwsQueue, load
from tests.unit.backends.aws_batch.aws_settings import some_aws

SpecFactory = Callable[..., JobSpec]
SHIPPED = load_prices("/nowhere/config.toml")
EAST: dict[str, Any] = {"region": "us-east-1", "network": "private"}


def written(folder: Path, text: str) -> str:
    """Path of settings beside a table of prices with this text."""
    (folder / "prices.toml").write_text(text)
    return str(folder / "config.toml")


def test_fifteen_minutes_of_two_vcpus_and_eight_gib_by_hand() -> None:
    # 2 · 0.04048 + 8 · 0.004445 = 0.11652 an hour, for 60 + 900 + 45 seconds
    hourly = rate_h(Size(2, 8192), some_aws(**EAST), SHIPPED)
    assert hourly == Decimal("0.11652")
    assert micros_of(attempt_usd(hourly, 60, 900 + 45)) == 32_529


def test_a_whole_estimate_by_hand(a_spec: SpecFactory) -> None:
    # 15 minutes and 720 s for restore, collection and slack; two attempts; 8 MB of log four times
    limits = Limits(timeout_s=900, memory_mib=7_680, log_bytes=8_000_000)
    made = AwsPricing(some_aws(attempts=2, **EAST), "/nowhere/config.toml").estimate(
        a_spec(limits=limits, created_at=1_790_000_000.0)
    )
    machine = -(-2 * 116_520 * (60 + 900 + 720 + 45) // 3600)
    assert made.parts == (("machine", machine), ("log", 32_000))
    assert (machine, made.worst_micros, made.notes) == (111_665, 143_665, ())


def test_less_than_a_minute_is_billed_as_a_minute() -> None:
    assert attempt_usd(Decimal(60), 10, 5) == attempt_usd(Decimal(60), 0, 60) == Decimal(1)


def test_arm_disk_and_a_public_address_have_their_prices() -> None:
    size = Size(1, 2048)
    arm = some_aws(**EAST, architecture=Architecture.ARM64, ephemeral_storage_gib=120)
    assert rate_h(size, arm, SHIPPED) == Decimal("0.03238") + 2 * Decimal("0.00356") + Decimal(
        "0.0111"
    )
    economy = replace(arm, network="economy")
    assert rate_h(size, economy, SHIPPED) - rate_h(size, arm, SHIPPED) == Decimal("0.005")


def test_an_unknown_region_is_as_dear_as_the_dearest_and_said(a_spec: SpecFactory) -> None:
    size = Size(1, 2048)
    unknown = some_aws(region="mx-central-1", network="private")
    known = [
        rate_h(size, replace(unknown, region=region), SHIPPED) for region in SHIPPED.factors.compute
    ]
    assert rate_h(size, unknown, SHIPPED) == max(known)
    notes = AwsPricing(unknown, "/nowhere/config.toml").estimate(a_spec()).notes
    assert notes == (
        "The prices of mx-central-1 are not in the table: the highest known ones are taken.",
    )


def test_a_table_that_is_old_says_so(a_spec: SpecFactory) -> None:
    at = dt.datetime(2027, 1, 28, 12, tzinfo=dt.UTC)
    assert not SHIPPED.old_at(at.timestamp())
    spec = a_spec(created_at=(at + dt.timedelta(days=1)).timestamp())
    [note] = AwsPricing(some_aws(**EAST), "/nowhere/config.toml").estimate(spec).notes
    assert note.startswith("The table of AWS's prices is of 2026-09-30;")


def test_the_shipped_table_has_every_price() -> None:
    names = [one.name for one in fields(Prices) if one.name not in ("instance_h", "factors")]
    assert all(getattr(SHIPPED, name) for name in names)
    assert all(getattr(SHIPPED.fargate, one.name) for one in fields(SHIPPED.fargate))
    assert SHIPPED.factors.compute.keys() == SHIPPED.factors.logs.keys()
    assert SHIPPED.factors.compute[SHIPPED.region] == 1


def test_a_persons_price_takes_the_place_of_one_alone(tmp_path: Path) -> None:
    text = "[fargate]\nx86_vcpu_h = 0.03\n[factors.compute]\nme-south-1 = 1.3\n"
    mine = load_prices(written(tmp_path, text))
    assert mine.fargate == replace(SHIPPED.fargate, x86_vcpu_h=0.03)
    assert mine.factors.compute == {**SHIPPED.factors.compute, "me-south-1": 1.3}
    assert mine.as_of == SHIPPED.as_of


def test_a_changed_table_counts_for_the_next_estimate(a_spec: SpecFactory, tmp_path: Path) -> None:
    pricing = AwsPricing(some_aws(**EAST), written(tmp_path, "[fargate]\nx86_vcpu_h = 0.03\n"))
    cheap = pricing.estimate(a_spec()).worst_micros
    written(tmp_path, "[fargate]\nx86_vcpu_h = 0.3333\n")
    assert pricing.estimate(a_spec()).worst_micros > cheap


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log_gb = = 1", r"prices.toml, line 1, column 10: not valid TOML"),
        ("log_gb = -1", r"prices.toml, line 1, column 10: wrong value for 'log_gb'"),
        ("as_of = 3", r"prices.toml, line 1, column 9: wrong value for 'as_of'"),
        ("\n[fargate]\nx86 = 1", r"prices.toml, line 3, column 1: unknown key 'fargate.x86'"),
        ("log_gb = inf", r"prices.toml, line 1, column 10: not valid TOML"),
    ],
)
def test_a_broken_table_starts_nothing(
    tmp_path: Path, a_spec: SpecFactory, text: str, said: str
) -> None:
    pricing = AwsPricing(some_aws(), written(tmp_path, text))
    with pytest.raises(BadConfig, match=said):
        pricing.estimate(a_spec())


def test_instances_are_refused_until_a_person_tells_their_price(
    tmp_path: Path, a_spec: SpecFactory
) -> None:
    gpu = some_aws(**EAST, queue=AwsQueue.GPU)
    with pytest.raises(InvalidArgument, match="nobody told what these cost") as raised:
        AwsPricing(gpu, "/nowhere/config.toml").estimate(a_spec())
    assert "[instance_h] with gpu" in raised.value.hint
    told = written(tmp_path, "[instance_h]\ngpu = 0.75\n")
    assert rate_h(Size(1, 1024), gpu, load_prices(told)) == Decimal("0.75")
    assert AwsPricing(gpu, told).estimate(a_spec()).worst_micros > 0


@pytest.mark.parametrize(
    ("text", "ok"),
    [("as_of = 2999-01-01", True), ("as_of = 2020-01-01", False), ("log_gb = ", False)],
)
def test_the_doctor_looks_at_the_table(tmp_path: Path, text: str, ok: bool) -> None:
    settings = load({"HOME": str(tmp_path)}, cwd=str(tmp_path))
    file = written(tmp_path, text)
    [found] = prices(replace(settings, aws=some_aws(), file=file))
    assert (found.name, found.ok) == ("prices", ok)
    assert ok or "prices.toml" in found.remedy + found.said
    assert prices(settings) == []
