"""Keeping files of a job under names of ours."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.result import Artifact
from mcp_cloud_agents.worker.collect_files import Wanted, collect_files

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_kept_under_names_of_ours(tmp_path: Path) -> None:
    (tmp_path / "job" / "out").mkdir(parents=True)
    (tmp_path / "job" / "out" / "odd\nname").write_bytes(b"content")
    (tmp_path / "kept").mkdir()
    root = os.open(tmp_path / "job", os.O_RDONLY)
    wanted = [
        Wanted(path="out/odd\nname", name="junit.xml", media_type="text/xml", description="tests"),
        Wanted(path="out/missing", name="missing", media_type="text/plain"),
    ]
    found = collect_files(root, wanted, str(tmp_path / "kept"), limit_bytes=7)
    os.close(root)
    assert found == (
        (
            Artifact(
                name="junit.xml",
                media_type="text/xml",
                size_bytes=7,
                sha256=hashlib.sha256(b"content").hexdigest(),
                description="tests",
            ),
        ),
        (),
    )
    assert (tmp_path / "kept" / "junit.xml").read_bytes() == b"content"
