"""The sandboxes that start on this machine, each with a workspace."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.ports.sandbox import Sandbox
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.sandbox.seatbelt import Seatbelt
from mcp_cloud_agents.sandbox.uid_drop import UidDrop
from tests.sandbox_box import PYTHON, Box, make_box

DRIVERS: dict[str, Callable[[], Sandbox]] = (
    {"seatbelt": Seatbelt}
    if sys.platform == "darwin"
    else {
        "bubblewrap": Bubblewrap,
        "bubblewrap-polled": lambda: Bubblewrap(groups=False),
        "uid-drop": UidDrop,  # only in the worker image: see tests/e2e/test_in_a_container.py
    }
)


@pytest.fixture(params=DRIVERS)
def box(request: pytest.FixtureRequest, open_path: Path) -> Box:
    sandbox = DRIVERS[request.param]()
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"{request.param} does not start here: {probe.problem}")
    if not Path(PYTHON).exists():
        pytest.skip(f"the commands of these tests need {PYTHON}")
    return make_box(sandbox, open_path)


@pytest.fixture
def full_box(box: Box) -> Box:
    """For what only namespaces can promise."""
    if box.sandbox.level is not IsolationLevel.FULL:
        pytest.skip(f"isolation of level {box.sandbox.level} does not promise it")
    return box


@pytest.fixture
def strong_box(box: Box) -> Box:
    """For what a user of its own and a guardian promise as well."""
    if not box.sandbox.level.satisfies(IsolationLevel.CONTAINER):
        pytest.skip(f"isolation of level {box.sandbox.level} does not promise it")
    return box
