"""The stop flag: set once, read by anybody, gone after a resume, and never misread as gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import StateUnusable
from mcp_cloud_agents.storage.stop_flag import Stop, StopFlag

FIRST = Stop(by="alice", at=86_400.0, why="a runaway")


def test_nothing_is_stopped_where_there_is_no_flag(tmp_path: Path) -> None:
    flag = StopFlag(str(tmp_path))
    assert (flag.read(), flag.why(), flag.clear()) == (None, "", False)


def test_the_first_stop_stays_until_a_person_resumes(tmp_path: Path) -> None:
    flag = StopFlag(str(tmp_path))
    assert flag.set(FIRST) == FIRST
    assert flag.set(Stop(by="bob", at=1.0)) == FIRST
    assert StopFlag(str(tmp_path)).why() == (
        "alice stopped everything at 1970-01-02 00:00 UTC: a runaway."
    )
    assert flag.clear()
    assert flag.set(Stop(by="bob", at=0.0)).by == "bob"


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"by": 1}', b"\xff", b"[" * 5_000])
def test_a_damaged_flag_still_stops(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stopped").write_bytes(content)
    flag = StopFlag(str(tmp_path))
    assert "the stop flag cannot be read" in flag.why()
    assert flag.clear()
    assert flag.why() == ""


def test_a_flag_that_is_a_folder_or_a_link_still_stops(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "stopped").mkdir()
    (tmp_path / "b" / "stopped").symlink_to("/nowhere")
    assert StopFlag(str(tmp_path / "a")).why()
    assert StopFlag(str(tmp_path / "b")).why()


def test_control_sequences_in_a_reason_do_not_reach_a_terminal(tmp_path: Path) -> None:
    flag = StopFlag(str(tmp_path))
    flag.set(Stop(by="\x1b[31mbob", at=0.0, why="\x1b[2J\u202e"))
    assert flag.why().isprintable()


def test_a_flag_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable):
        StopFlag(str(tmp_path / "missing")).set(FIRST)
