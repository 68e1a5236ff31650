"""A desk for each test; the tree of its jobs is packed once for all tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.storage.trees import remove_tree
from tests.e2e.wire import a_repository
from tests.paid_house import PaidHouse
from tests.unit.delegation.desk import Desk, Ground


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    scratch = Path(tempfile.mkdtemp(prefix="mca-admit-")).resolve()
    repository = a_repository(scratch)
    packing = PaidHouse(repository, state="packing")
    yield Ground(repository, packing.spec(), packing.place())
    remove_tree(str(scratch))


@pytest.fixture
def desk(ground: Ground, tmp_path: Path) -> Iterator[Desk]:
    house = PaidHouse(ground.repository, state=str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    yield Desk(ground, house)
    Path(house.settings.file).with_name("policy.toml").unlink(missing_ok=True)
