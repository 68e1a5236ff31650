"""The record of a candidate: JSON lines, redacted, bounded, on the disk at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp_cloud_agents.governance.redaction import REDACTED, Redactor
from mcp_cloud_agents.worker.fix import transcript
from mcp_cloud_agents.worker.fix.transcript import TranscriptFile

CANARY = "canary-4f6a-secret"


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ticking() -> Iterator[float]:
    now = 100.0
    while True:
        yield now
        now += 0.5


def test_each_entry_is_a_line_on_the_disk_before_write_returns(tmp_path: Path) -> None:
    path, clock = tmp_path / "t.jsonl", ticking()
    record = TranscriptFile(str(path), Redactor(), monotonic=lambda: next(clock))
    record.write("prompt", text="two\nlines")
    assert entries(path) == [{"at": 0.5, "kind": "prompt", "text": "two\nlines"}]
    record.write("note", text="x")
    assert [entry["at"] for entry in entries(path)] == [0.5, 1.0]
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_secret_reaches_the_file_in_any_shape(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    record = TranscriptFile(str(path), Redactor([CANARY]))
    record.write(
        "tool",
        name="x",
        arguments={CANARY: [CANARY]},
        result=ValueError(CANARY),
        raw=CANARY.encode(),
    )
    assert CANARY not in path.read_text()
    assert path.read_text().count(REDACTED) == 4


def test_a_secret_at_a_cut_is_gone_before_the_text_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    half = transcript.MAX_TEXT_CHARS // 2
    text = "a" * (half - 5) + CANARY + "b" * half
    TranscriptFile(str(path), Redactor([CANARY])).write("tool", result=text)
    assert "canar" not in path.read_text()
    assert "characters left out" in entries(path)[0]["result"]


def test_a_full_record_says_so_once_and_still_has_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\n" * (transcript.MAX_BYTES - 10))
    record = TranscriptFile(str(path), Redactor())
    for _ in range(3):
        record.write("note", text="more")
    record.write("end", reason="loop")
    kinds = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [(entry["kind"], entry.get("text", "")[:8]) for entry in kinds] == [
        ("note", "Left out"),
        ("end", ""),
    ]


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    TranscriptFile(str(path), Redactor()).write("tool", result="a\udcffb", raw=b"\xff")
    assert entries(path)[0]["result"] == "a\udcffb"
