"""Values that unit tests start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mcp_cloud_agents.domain.job import JobId, JobSpec, Kind, Origin, Snapshot
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Limits
from mcp_cloud_agents.domain.setup import SetupPlan

ORIGIN = Origin(
    workspace="/src/app",
    git_dir="/src/app/.git",
    common_dir="/src/app/.git",
    base_commit="b" * 40,
    branch="main",
    dirty=True,
)
SNAPSHOT = Snapshot(
    repository="0123456789abcdef",
    object_format="sha1",
    commit="c" * 40,
    tree="d" * 40,
    files=3,
    sent_bytes=120,
    origin=ORIGIN,
)
SPEC = JobSpec(
    id=JobId("j0000000001"),
    agent="run_tests_cloud",
    kind=Kind.TESTS,
    snapshot=SNAPSHOT,
    command="pytest -q",
    runner="pytest",
    setup=SetupPlan(),
    limits=Limits(),
    isolation=IsolationLevel.FULL,
    digest="e" * 64,
    created_at=1_000_000.0,
)

SpecFactory = Callable[..., JobSpec]


@pytest.fixture
def a_spec() -> SpecFactory:
    """Makes a valid specification; arguments replace fields."""

    def make(**changes: Any) -> JobSpec:
        return replace(SPEC, **changes)

    return make
