"""Fixtures of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.worker.house import House, SpecFactory


@pytest.fixture
def house(tmp_path: Path, a_spec: SpecFactory) -> House:
    return House(tmp_path, a_spec)
