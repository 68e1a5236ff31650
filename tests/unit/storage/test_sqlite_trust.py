"""What a person trusted is kept by repository and content, and nothing else is trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.agents.trust import config_digest
from mcp_cloud_agents.domain.errors import StateUnusable
from mcp_cloud_agents.storage.sqlite_trust import SqliteTrust

FILES = {".cloud-agents/config.toml": b"a = 1\n", ".cloud-agents/x": b"\xff\x00"}


@pytest.fixture
def trust(tmp_path: Path) -> SqliteTrust:
    return SqliteTrust(str(tmp_path / "trust.sqlite"))


def test_trust_is_of_one_content_of_one_repository(trust: SqliteTrust, tmp_path: Path) -> None:
    trust.trust("/a/.git", FILES)
    again = SqliteTrust(str(tmp_path / "trust.sqlite"))
    assert again.of("/a/.git", config_digest(FILES))
    assert not again.of("/b/.git", config_digest(FILES))
    assert not again.of("/a/.git", config_digest({}))
    assert not again.of("/a/.git", "")


def test_the_newest_content_is_kept_to_be_compared_with(trust: SqliteTrust) -> None:
    trust.trust("/a/.git", {})
    trust.trust("/a/.git", FILES)
    trust.trust("/b/.git", {})
    found = trust.everything("/a/.git")
    assert [one.files for one in found] == [FILES, {}]
    assert [one.digest for one in found] == [config_digest(FILES), config_digest({})]
    assert len(trust.everything()) == 3


def test_to_forget_a_repository_forgets_all_its_contents(trust: SqliteTrust) -> None:
    trust.trust("/a/.git", {})
    trust.trust("/a/.git", FILES)
    trust.trust("/b/.git", FILES)
    assert trust.forget("/a/.git") == 2
    assert not trust.of("/a/.git", config_digest(FILES))
    assert trust.of("/b/.git", config_digest(FILES))
    assert trust.forget("/a/.git") == 0


def test_a_damaged_list_trusts_nothing_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "trust.sqlite"
    path.write_bytes(b"not a database" * 1_000)
    with pytest.raises(StateUnusable):
        SqliteTrust(str(path)).of("/a/.git", config_digest(FILES))
