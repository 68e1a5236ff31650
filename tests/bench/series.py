"""Measured values of one thing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Series:
    """Values in the order they were measured."""

    values: list[float] = field(default_factory=list[float])

    def add(self, value: float) -> None:
        self.values.append(value)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def p95(self) -> float:
        """Nearest rank: of few values the worst one."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)]

    def cells(self, scale: float = 1.0, digits: int = 0) -> tuple[str, str, str]:
        """Median, least and p95 for a table."""
        shown = (self.median, self.least, self.p95)
        first, second, third = (f"{value * scale:,.{digits}f}" for value in shown)
        return first, second, third


def ms(series: Series) -> tuple[str, str, str]:
    """Seconds as cells in milliseconds."""
    return series.cells(1_000, 0 if series.median >= 0.1 else 1)


def ratio(ours: Series, theirs: Series) -> float:
    """Of the medians. Both were measured in the same rounds, so load hits both alike."""
    return ours.median / theirs.median


def took_s(work: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    began_at = time.perf_counter()
    work()
    return time.perf_counter() - began_at
