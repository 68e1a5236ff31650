"""The table of AWS's prices: the one that ships, and the person's own words over it."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta, convert

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml import parse, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "prices.toml"
OLD_AFTER_DAYS = 120
_SHIPPED = Path(__file__).with_name(FILE)

Usd = Annotated[float, Meta(ge=0, le=10_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(gt=0, le=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FargatePrices:
    """The table `[fargate]`; of an hour, where the name ends in `_h`."""

    x86_vcpu_h: Usd = 0
    x86_gib_h: Usd = 0
    arm_vcpu_h: Usd = 0
    arm_gib_h: Usd = 0
    disk_gib_h: Usd = 0
    pull_s: Annotated[float, Meta(ge=0, le=3_600)] = 0
    spot_expected: Share = 1
    spot_billed: Share = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The table `[factors]`: by region."""

    compute: dict[str, Factor] = field(default_factory=dict[str, float])
    logs: dict[str, Factor] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """A whole table; the defaults stand for what a person's file leaves out."""

    as_of: dt.date = dt.date.min
    source: str = ""
    region: str = ""
    public_ipv4_h: Usd = 0
    log_gb: Usd = 0
    fargate: FargatePrices = field(default_factory=FargatePrices)
    instance_h: dict[str, Usd] = field(default_factory=dict[str, float])
    """By the queue's name in `[aws.queues]`."""
    factors: Factors = field(default_factory=Factors)

    def old_at(self, at: float) -> bool:
        """Whether nobody has looked at the prices for too long, at this time (epoch seconds)."""
        day = dt.datetime.fromtimestamp(at, dt.UTC).date()
        return (day - self.as_of).days > OLD_AFTER_DAYS

    @property
    def age_note(self) -> str:
        """What to say of an old table."""
        return (
            f"The table of AWS's prices is of {self.as_of}; check it, and write a prices.toml "
            "beside your config.toml (docs/costs.md)."
        )


def exact(number: float) -> Decimal:
    """As it was written in the file."""
    return Decimal(str(number))


def factor_of(factors: Mapping[str, float], region: str) -> Decimal:
    """Of a region; of one that is not there the highest known."""
    known = factors.get(region)
    return exact(max(factors.values()) if known is None else known)


def own_file(config_file: str) -> str:
    """Where the person's prices are, beside the settings; it need not exist."""
    return os.path.join(os.path.dirname(config_file), FILE)


def stamp_of(config_file: str) -> tuple[int, int, int] | None:
    """What changes when the person's prices do; None: there are none."""
    try:
        found = Path(own_file(config_file)).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def load_prices(config_file: str) -> Prices:
    """The table that ships, with the person's prices in their place.

    Args:
        config_file: path of the person's settings.

    Raises:
        BadConfig: the person's file is broken; the message has the place.
    """
    shipped = parse(_SHIPPED.read_bytes(), file=FILE)
    file = own_file(config_file)
    try:
        data = Path(file).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return convert(shipped, Prices)
    except OSError as exc:
        raise BadConfig(
            f"{file}: cannot be read: {exc.strerror}.",
            hint="Make the file readable for yourself, or remove it.",
        ) from exc
    read_toml(data, Prices, file=file)
    return convert(_over(shipped, parse(data, file=file)), Prices)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = (
            _over(cast("dict[str, Any]", old), cast("dict[str, Any]", value)) if both else value
        )
    return merged
