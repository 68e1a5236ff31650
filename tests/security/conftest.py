"""Boxes for attacks: as jobs get them, and without the kernel's own memory limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from tests.sandbox_box import PYTHON, Box, make_box


@pytest.fixture(params=["groups", "polled"])
def any_box(request: pytest.FixtureRequest, open_path: Path) -> Box:
    """Limits held by the kernel, where it can, and by polling."""
    return _box(open_path, groups=request.param == "groups")


@pytest.fixture
def box(open_path: Path) -> Box:
    return _box(open_path, groups=True)


def _box(folder: Path, *, groups: bool) -> Box:
    sandbox = Bubblewrap(groups=groups)
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    if not Path(PYTHON).exists():
        pytest.skip(f"the attacks need {PYTHON}")
    return make_box(sandbox, folder)
