"""One emulator a file, emptied before each test: a process can have but one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_cloud_agents.emulator.emulator import Emulator, serve
from mcp_cloud_agents.emulator.options import Options
from tests.emulator.cloud import Cloud

QUICK = Options(
    images={"any": ("sh", "-c", "echo the entry point"), "mcp-cloud-agents-worker:*": ("true",)},
    pull_s=0.0,
    stop_grace_s=0.3,
    log_flush_s=0.01,
    minimum_timeout_s=1,
    minimum_runnable_s=1,
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with serve(QUICK) as running:
        yield running


@pytest.fixture
def cloud(emulator: Emulator) -> Cloud:
    emulator.control.reset()
    made = Cloud(emulator)
    made.prepare()
    return made
