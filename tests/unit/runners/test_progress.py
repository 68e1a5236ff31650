from __future__ import annotations

from pathlib import Path

from mcp_cloud_agents.domain.result import Progress
from mcp_cloud_agents.runners.progress import ProgressReader
from mcp_cloud_agents.runners.runner import ReportFolder


def add(folder: Path, text: str) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.write(text)


def test_progress_is_unknown_until_something_is_told(folder: Path, report: ReportFolder) -> None:
    reader = ProgressReader(report)
    assert reader.read() is None
    add(folder, "nonsense\n")
    assert reader.read() is None


def test_progress_grows_with_the_lines_that_are_added(folder: Path, report: ReportFolder) -> None:
    reader = ProgressReader(report)
    add(folder, '{"session": "/workspace"}\n{"total": 3}\n{"start": "a"}\n')
    assert reader.read() == Progress(done=0, failed=0, total=3)
    add(folder, '{"id": "a", "phase": "call", "outcome": "failed"}\n{"end": "a"}\n{"sta')
    assert reader.read() == Progress(done=1, failed=1, total=3)
    add(folder, 'rt": "b"}\n{"end": "b"}\n')
    assert reader.read() == Progress(done=2, failed=1, total=3)
    assert reader.read() == Progress(done=2, failed=1, total=3)


def test_a_test_whose_worker_crashed_is_done_and_failed(folder: Path, report: ReportFolder) -> None:
    add(folder, '{"start": "a"}\n{"id": "a", "phase": "???", "outcome": "failed"}\n')
    assert ProgressReader(report).read() == Progress(done=1, failed=1)


def test_one_look_reads_a_bounded_piece(folder: Path, report: ReportFolder) -> None:
    add(folder, '{"end": "a"}\n' * 200_000)
    reader = ProgressReader(report)
    first = reader.read()
    assert first is not None
    assert 0 < first.done < 200_000
    while (later := reader.read()) != first:
        first = later
    assert first == Progress(done=200_000, failed=0)


def test_a_line_without_end_is_never_kept(folder: Path, report: ReportFolder) -> None:
    add(folder, "x" * 5_000_000 + '\n{"end": "a"}\n')
    reader = ProgressReader(report)
    looks = [reader.read() for _ in range(8)]
    assert looks[-1] == Progress(done=1, failed=0)
