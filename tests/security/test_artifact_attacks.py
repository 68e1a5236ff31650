"""Attacks on the collecting of files that a job leaves for keeping."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.worker.collect_files import Wanted, collect_files

if TYPE_CHECKING:
    from collections.abc import Callable


def artifact(root: Path, path: str, limit: int = 100) -> tuple[list[str], tuple[str, ...]]:
    (root / "kept").mkdir(exist_ok=True)
    fd = os.open(root / "job", os.O_RDONLY | os.O_DIRECTORY)
    try:
        wanted = Wanted(path=path, name="report.xml", media_type="application/xml")
        kept, notes = collect_files(fd, [wanted], str(root / "kept"), limit_bytes=limit)
    finally:
        os.close(fd)
    assert [one.name for one in kept] == os.listdir(root / "kept")
    return [one.sha256 for one in kept], notes


def make_link(root: Path) -> None:
    (root / "job" / "x").symlink_to(root / "secret")


def make_linked_folder(root: Path) -> None:
    (root / "job" / "folder").symlink_to(root)


def make_hard_link(root: Path) -> None:
    os.link(root / "secret", root / "job" / "x")


def make_fifo(root: Path) -> None:
    os.mkfifo(root / "job" / "x")


def make_folder(root: Path) -> None:
    (root / "job" / "x").mkdir()


def make_large(root: Path) -> None:
    (root / "job" / "x").write_text("x" * 101)


@pytest.mark.parametrize(
    ("make", "path", "why"),
    [
        (make_link, "x", "Too many levels of symbolic links"),
        (make_linked_folder, "folder/secret", "Not a directory"),
        (make_hard_link, "x", "more than one hard link"),
        (make_fifo, "x", "not a regular file"),
        (make_folder, "x", "not a regular file"),
        (make_large, "x", "more than 100 bytes"),
        (make_link, "../secret", "unsafe path"),
        (make_link, "/etc/passwd", "unsafe path"),
    ],
)
def test_attack_artifact_that_is_something_else(
    tmp_path: Path, make: Callable[[Path], None], path: str, why: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "job").mkdir()
    make(tmp_path)
    assert artifact(tmp_path, path) == ([], (f"Not kept: {path} ({why}).",))
