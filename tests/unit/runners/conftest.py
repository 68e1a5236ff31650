"""Report folders as the worker gives them to runners, and recorded reports of real runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent / "samples"


class FolderReport:
    """A folder read without following links."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str, limit: int, offset: int = 0) -> bytes | None:
        try:
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return os.pread(fd, limit, offset)
        finally:
            os.close(fd)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "report"
    path.mkdir()
    return path


@pytest.fixture
def report(folder: Path) -> FolderReport:
    return FolderReport(folder)


@pytest.fixture
def recorded(folder: Path) -> Callable[..., FolderReport]:
    """The folder, filled: `recorded(**{"junit.xml": "pytest.xml"})`."""

    def fill(**samples: str) -> FolderReport:
        for name, sample in samples.items():
            (folder / name).write_bytes((SAMPLES / sample).read_bytes())
        return FolderReport(folder)

    return fill


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    return lambda name: (SAMPLES / name).read_bytes()
