"""For every tier: anyio's backend, folders that a job's user can reach, Docker, the options."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.storage.trees import remove_tree
from tests.docker_engine import Engine, a_worker_image, an_engine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--public-suites",
        action="store_true",
        help="run the suites of public projects too: downloads them, takes minutes",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--public-suites"):
        return
    skip = pytest.mark.skip(reason="opt in with --public-suites")
    for item in items:
        if item.get_closest_marker("public_suites") is not None:
            item.add_marker(skip)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A fresh folder that other users may pass through: as root, jobs run under another uid.

    pytest's own tmp_path lies below a folder of mode 0700, where that user cannot go.
    """
    folder = Path(tempfile.mkdtemp(prefix="mca-test-")).resolve()
    folder.chmod(0o711)
    yield folder
    remove_tree(str(folder))  # also what is too deep for shutil


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    with an_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def worker_image(docker_engine: Engine) -> str:
    """Built once; takes one and a half minutes."""
    return a_worker_image(docker_engine)
