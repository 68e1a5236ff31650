from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import StateUnusable
from mcp_cloud_agents.storage.state_folder import StateFolder


def test_a_fresh_folder_is_made_private(tmp_path: Path) -> None:
    state = StateFolder(str(tmp_path / "state"))
    state.open(shared=False)
    assert {path.name for path in (tmp_path / "state").iterdir()} == {
        *("VERSION", "jobs", "queue", "snapshots", "breakers"),
        *("repositories", "environments", "tools"),
    }
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("version", ["2", "99\n", "banana", ""])
def test_a_newer_or_unknown_layout_is_refused(tmp_path: Path, version: str) -> None:
    (tmp_path / "VERSION").write_text(version)
    with pytest.raises(StateUnusable) as caught:
        StateFolder(str(tmp_path)).open(shared=False)
    assert "layout version" in caught.value.message
    assert list(tmp_path.iterdir()) == [tmp_path / "VERSION"]


def test_a_folder_that_cannot_be_made_says_how_to_choose_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateUnusable) as caught:
        StateFolder(str(tmp_path / "file" / "state")).open(shared=False)
    assert "MCP_CLOUD_AGENTS_STATE_DIR" in caught.value.hint
