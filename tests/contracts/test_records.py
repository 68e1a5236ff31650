"""The contract of `ports/records.py`, for every implementation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import UnknownJob
from mcp_cloud_agents.domain.job import JobId, JobSpec, Kind, Origin, Snapshot
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Limits
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.ports.records import Record, Records
from mcp_cloud_agents.storage.sqlite_records import SqliteRecords


@pytest.fixture(params=["sqlite"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    made = {"sqlite": lambda: SqliteRecords(str(tmp_path / "records.sqlite"), lambda: ())}
    return made[request.param]()


def record(number: int, *, key: str | None = None, top: str = "/a", digest: str = "d") -> Record:
    origin = Origin(
        workspace=top, git_dir="g", common_dir="c", base_commit=None, branch=None, dirty=False
    )
    snapshot = Snapshot(
        repository="r",
        object_format="sha1",
        commit="c",
        tree="t",
        files=1,
        sent_bytes=0,
        origin=origin,
    )
    spec = JobSpec(
        id=JobId(f"j{number}"),
        agent="a",
        kind=Kind.COMMAND,
        snapshot=snapshot,
        command="true",
        runner=None,
        setup=SetupPlan(),
        limits=Limits(),
        isolation=IsolationLevel.FULL,
        digest=digest,
        created_at=float(number),
        key=key,
    )
    return Record(spec=spec, backend="local")


def test_what_was_claimed_is_read_back_whole(records: Records) -> None:
    one = record(1, key="k")
    assert records.claim(one) == one
    assert records.get(JobId("j1")) == one
    assert records.by_key("k") == one


def test_the_same_key_gives_the_first_job(records: Records) -> None:
    first = record(1, key="k")
    records.claim(first)
    assert records.claim(record(2, key="k")) == first
    with pytest.raises(UnknownJob):
        records.get(JobId("j2"))


def test_jobs_without_a_key_never_clash(records: Records) -> None:
    assert [records.claim(record(n)).spec.id for n in (1, 2)] == ["j1", "j2"]


def test_claiming_the_same_job_twice_changes_nothing(records: Records) -> None:
    one = record(1)
    assert (records.claim(one), records.claim(one)) == (one, one)
    assert records.latest(workspace=None, limit=9) == (one,)


def test_the_newest_come_first_and_only_of_the_worktree_asked_for(records: Records) -> None:
    made = [record(1, top="/a"), record(2, top="/b"), record(3, top="/a")]
    for one in made:
        records.claim(one)
    assert records.latest(workspace="/a", limit=9) == (made[2], made[0])
    assert records.latest(workspace=None, limit=2) == (made[2], made[1])
    assert records.latest(workspace="/", limit=9) == ()


def test_equal_work_is_found_by_its_digest(records: Records) -> None:
    records.claim(record(1, digest="x"))
    records.claim(record(2, digest="y"))
    newest = record(3, digest="x")
    records.claim(newest)
    assert records.same_work("x") == (newest, record(1, digest="x"))


def test_a_forgotten_job_is_gone_and_its_key_is_free(records: Records) -> None:
    records.claim(record(1, key="k"))
    records.claim(record(2))
    records.forget([JobId("j1"), JobId("junknown")])
    assert records.latest(workspace=None, limit=9) == (record(2),)
    assert records.claim(record(3, key="k")).spec.id == "j3"


def test_odd_text_in_a_command_survives(records: Records) -> None:
    base = record(1)
    odd = replace(base, spec=replace(base.spec, command="printf 'é\n\\u0000 \"'"))
    assert records.claim(odd) == odd == records.get(JobId("j1"))
