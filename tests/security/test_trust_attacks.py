"""Attacks on trust: other bytes, other clones, foreign worktrees, links, and no person at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mcp_cloud_agents.agents.trust import config_digest, configuration_of
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.snapshots.trusted import TrustedSnapshots
from mcp_cloud_agents.storage.sqlite_trust import SqliteTrust
from tests.e2e.terminal import PROGRAM
from tests.e2e.wire import Repository, a_repository

NAME = ".cloud-agents/config.toml"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return a_repository(tmp_path)


@pytest.fixture
def snapshots(tmp_path: Path) -> GitSnapshots:
    state = tmp_path / "state"
    state.mkdir()
    (state / "repositories").mkdir()
    return GitSnapshots(str(state), ScreenRules())


def configuration(snapshots: GitSnapshots, folder: Path) -> tuple[str, dict[str, bytes]]:
    """The common git dir and the files, as a job would be sent them."""
    origin = snapshots.locate(str(folder))
    return origin.common_dir, configuration_of(snapshots, snapshots.take(origin))


@pytest.fixture
def trust(tmp_path: Path, repository: Repository, snapshots: GitSnapshots) -> SqliteTrust:
    """Trusts the repository as it is."""
    made = SqliteTrust(str(tmp_path / "trust.sqlite"))
    made.trust(*configuration(snapshots, repository.path))
    return made


def is_trusted(trust: SqliteTrust, snapshots: GitSnapshots, folder: Path) -> bool:
    """As it is asked before a job gets secrets."""
    snapshot = snapshots.take(snapshots.locate(str(folder)))
    return TrustedSnapshots(snapshots=snapshots, trust=trust)(snapshot)


def test_a_byte_changes_after_trust(
    trust: SqliteTrust, snapshots: GitSnapshots, repository: Repository
) -> None:
    assert is_trusted(trust, snapshots, repository.path)
    before = (repository.path / NAME).read_text()
    repository.write(NAME, before + "\n")
    assert not is_trusted(trust, snapshots, repository.path)
    repository.write(NAME, before)
    assert is_trusted(trust, snapshots, repository.path)


@pytest.mark.parametrize("name", [".cloud-agents/policy.toml", ".cloud-agents/a/b", NAME + "~"])
def test_a_file_comes_after_trust(
    trust: SqliteTrust, snapshots: GitSnapshots, repository: Repository, name: str
) -> None:
    repository.write(name, "")
    assert not is_trusted(trust, snapshots, repository.path)


def test_bytes_move_from_one_file_to_another() -> None:
    assert config_digest({"a": b"xy", "b": b""}) != config_digest({"a": b"x", "b": b"y"})
    assert config_digest({"a": b"", "b": b""}) != config_digest({"a": b"b"})
    assert config_digest({"ab": b"c"}) != config_digest({"a": b"bc"})


def test_another_clone_has_the_same_content(
    trust: SqliteTrust, snapshots: GitSnapshots, repository: Repository, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    repository.git("clone", "-q", ".", str(other))
    assert (other / NAME).read_bytes() == (repository.path / NAME).read_bytes()
    assert not is_trusted(trust, snapshots, other)


def test_a_foreign_folder_poses_as_a_worktree_of_a_trusted_repository(
    trust: SqliteTrust, snapshots: GitSnapshots, repository: Repository, tmp_path: Path
) -> None:
    linked, foreign = tmp_path / "linked", tmp_path / "foreign"
    repository.git("worktree", "add", "-q", str(linked))
    for git_dir in (repository.path / ".git", repository.path / ".git/worktrees/linked"):
        (foreign / ".cloud-agents").mkdir(parents=True, exist_ok=True)
        (foreign / NAME).write_bytes((repository.path / NAME).read_bytes())
        (foreign / ".git").write_text(f"gitdir: {git_dir}\n")
        common_dir, files = configuration(snapshots, foreign)
        assert trust.of(common_dir, config_digest(files)), "the pose is perfect but for one thing"
        assert not is_trusted(trust, snapshots, foreign)
    assert is_trusted(trust, snapshots, linked)
    assert is_trusted(trust, snapshots, repository.path)


def test_a_configuration_is_a_link_to_what_changes_later(
    trust: SqliteTrust, snapshots: GitSnapshots, repository: Repository
) -> None:
    (repository.path / NAME).unlink()
    (repository.path / NAME).symlink_to("../elsewhere.toml")
    with pytest.raises(BadConfig, match="no regular file"):
        configuration(snapshots, repository.path)
    assert not is_trusted(trust, snapshots, repository.path)


@pytest.mark.parametrize(
    ("files", "size", "told"),
    [(1, 70_000, "more than 65536"), (3, 60_000, "at most 131072"), (25, 1, "at most 20")],
)
def test_more_than_a_person_would_read_cannot_be_trusted(
    snapshots: GitSnapshots, repository: Repository, files: int, size: int, told: str
) -> None:
    for number in range(files):
        repository.write(f".cloud-agents/{number}", "x" * size)
    with pytest.raises(BadConfig, match=told):
        configuration(snapshots, repository.path)


def test_a_program_without_a_terminal_answers_for_the_person(repository: Repository) -> None:
    done = subprocess.run(
        [*PROGRAM, "trust"],
        cwd=repository.path,
        env=repository.env,
        input="y\ny\ny\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Only a person at a terminal can agree" in done.stderr
