"""An environment is looked through for the secrets of its set-up; doubt counts as found."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path

import pytest

from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.worker import left_in_environment
from mcp_cloud_agents.worker.left_in_environment import left_in

CANARY = "setup-canary-66+x"


def found(folder: Path, *, within_s: float = 60) -> str | None:
    return left_in(str(folder), Redactor([CANARY]), deadline=time.monotonic() + within_s)


def test_a_folder_without_the_value_may_be_kept(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(os.urandom(3_000_000))
    (tmp_path / "link").symlink_to("/etc/shadow")
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) is None


def test_the_value_is_found_in_contents_names_and_links(tmp_path: Path) -> None:
    deep = tmp_path / "lib" / "deep"
    deep.mkdir(parents=True)
    netrc = deep / ".netrc"
    netrc.write_bytes(b"x" * ((1 << 20) - 5) + base64.b64encode(b"me:" + CANARY.encode()))
    assert found(tmp_path) == "in the file .netrc"
    netrc.unlink()
    (deep / f"token-{CANARY}").mkdir()
    assert found(tmp_path) == "in the name of a file"
    (deep / f"token-{CANARY}").rmdir()
    (deep / "to").symlink_to(f"https://{CANARY}@host")
    assert found(tmp_path) == "in the link to"


def test_what_a_link_leads_to_is_not_looked_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text(CANARY)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "file")
    assert found(inside) is None


def test_what_takes_too_long_or_is_too_large_counts_as_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / str(number)).write_text("plain")
    assert found(tmp_path, within_s=-1) == "the time to look through it was over"
    monkeypatch.setattr(left_in_environment, "_MOST_FILES", 2)
    assert found(tmp_path) == "it is too large to be looked through"
