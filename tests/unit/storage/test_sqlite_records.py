from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import StateUnusable, UnknownJob
from mcp_cloud_agents.domain.job import JobId, JobSpec
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.sqlite_records import SqliteRecords

SpecFactory = Callable[..., JobSpec]


def records_in(folder: Path, known: tuple[Record, ...] = ()) -> SqliteRecords:
    return SqliteRecords(str(folder / "records.sqlite"), lambda: known)


def test_a_damaged_index_is_kept_aside_and_rebuilt_from_the_job_folders(
    tmp_path: Path, a_spec: SpecFactory
) -> None:
    job = Record(spec=a_spec(key="k"), backend="local")
    (tmp_path / "records.sqlite").write_bytes(b"this is no database" * 100)
    assert records_in(tmp_path, (job,)).by_key("k") == job
    assert len(list(tmp_path.glob("records.sqlite.damaged-*"))) == 1


def test_an_index_of_a_newer_version_is_refused_with_the_way_out(
    tmp_path: Path, a_spec: SpecFactory
) -> None:
    records_in(tmp_path).claim(Record(spec=a_spec(), backend="local"))
    with sqlite3.connect(tmp_path / "records.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StateUnusable) as caught:
        records_in(tmp_path).get(JobId("j0000000001"))
    assert "newer version (layout 99)" in caught.value.message
    assert "Upgrade" in caught.value.hint


def test_an_index_that_was_deleted_while_open_is_made_anew(
    tmp_path: Path, a_spec: SpecFactory
) -> None:
    job = Record(spec=a_spec(), backend="local")
    records = records_in(tmp_path, (job,))
    records.claim(job)
    for path in tmp_path.glob("records.sqlite*"):
        path.unlink()
    assert records.get(job.spec.id) == job


def test_many_claims_of_one_key_at_once_give_one_job(tmp_path: Path, a_spec: SpecFactory) -> None:
    records = [records_in(tmp_path) for _ in range(4)]

    def claim(number: int) -> Record:
        spec = a_spec(id=JobId(f"j{number:010}"), key="same")
        return records[number % 4].claim(Record(spec=spec, backend="local"))

    with ThreadPoolExecutor(8) as pool:
        claimed = set(pool.map(claim, range(24)))
    assert len(claimed) == 1


def test_an_unknown_job_is_told_with_the_way_to_find_others(tmp_path: Path) -> None:
    with pytest.raises(UnknownJob) as caught:
        records_in(tmp_path).get(JobId("jnothing"))
    assert (caught.value.message, caught.value.hint) == (
        "No job has the id 'jnothing'.",
        "List the jobs with list_jobs.",
    )
