"""Fixtures for every tier: the anyio backend, and folders that a job's user can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


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
    shutil.rmtree(folder, ignore_errors=True)
