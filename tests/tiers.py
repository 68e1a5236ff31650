"""Parameters of a test of which some run each time, and the others in the slow tier."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def tiers(often: Iterable[object], *seldom: object) -> list[object]:
    """For `pytest.mark.parametrize`: those that run each time, then those that run in CI too."""
    return [*often, *(pytest.param(one, marks=pytest.mark.slow) for one in seldom)]
