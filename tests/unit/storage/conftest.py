"""Shared stores of every kind, empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stores import KINDS, at, new_place, s3_server

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.store import Store


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[Callable[[], str]]:
    """Starts S3 when somebody asks for it, once."""
    with ExitStack() as started:
        yield cache(lambda: started.enter_context(s3_server()))


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, s3_endpoint: Callable[[], str]) -> Store:
    return at(request.param, new_place(request.param, tmp_path, s3_endpoint))
