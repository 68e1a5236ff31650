"""Money in whole millionths of a dollar, and what a job may cost, will probably cost, did cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

MICROS_PER_USD = 1_000_000


def usd(micros: int) -> str:
    """Millionths of a dollar as a decimal string, without trailing zeros."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS_PER_USD)
    return sign + f"{whole}.{rest:06d}".rstrip("0").removesuffix(".")


def micros_of(dollars: Decimal | float) -> int:
    """Dollars in whole micro-dollars, rounded up."""
    exact = dollars if isinstance(dollars, Decimal) else Decimal(str(dollars))
    return int((exact * MICROS_PER_USD).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job may cost, known before it starts."""

    worst_micros: int
    """Never passed: this is what is reserved."""
    expected_micros: int
    """By what such jobs cost before, else by a plain assumption; at most the worst."""
    parts: tuple[tuple[str, int], ...] = ()
    """What the worst is made of, in micro-dollars: `machine`, `models`, `log`."""
    notes: tuple[str, ...] = ()
    """E.g. that the price table is old."""


FREE = Estimate(worst_micros=0, expected_micros=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """A job's money at one moment."""

    estimate: Estimate
    reserved_micros: int = 0
    """Held back now."""
    actual_micros: int | None = None
    """What it did cost; None while nobody knows."""
