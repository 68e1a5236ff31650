"""Looks at logs in the bucket: at once while few jobs are open, in turns while many are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from mcp_cloud_agents.backends.aws_batch.objects import Objects
from mcp_cloud_agents.backends.aws_batch.poller import Job
from mcp_cloud_agents.backends.aws_batch.rationed_log import RationedLogs
from mcp_cloud_agents.backends.aws_batch.seen import Rank, Seen
from mcp_cloud_agents.backends.aws_batch.tracked import FEW_JOBS, Tracked
from mcp_cloud_agents.storage.folder_store import FolderStore
from tests.unit.conftest import SPEC

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]
MANY = FEW_JOBS + 1


@dataclass
class Bucket:
    """A job in a bucket, and who reads its log."""

    logs: RationedLogs
    job: Tracked

    async def read(self, *, open_jobs: int, offset: int = 0) -> bytes:
        piece = await self.logs.read(self.job, offset=offset, limit=100, open_jobs=open_jobs)
        return piece.data

    def batch_says(self, rank: Rank) -> None:
        assert self.job.poll is not None
        self.job.poll.last = Seen(batch_id="b-1", rank=rank)


@pytest.fixture
async def bucket(tmp_path: Path) -> Bucket:
    objects = Objects(FolderStore(str(tmp_path)))
    job = Tracked(replace(SPEC), objects.of(SPEC.id))
    job.poll = Job(SPEC.id, "b-1", anyio.current_time())
    made = Bucket(RationedLogs(objects), job)
    made.batch_says(Rank.RUNNING)
    job.objects.write_chunk(0, b"one\n")
    return made


async def test_with_few_jobs_every_read_looks(bucket: Bucket) -> None:
    assert await bucket.read(open_jobs=FEW_JOBS) == b"one\n"
    bucket.job.objects.write_chunk(4, b"two\n")
    assert await bucket.read(open_jobs=FEW_JOBS) == b"one\ntwo\n"


async def test_with_many_jobs_the_last_look_is_told_until_the_next_turn(bucket: Bucket) -> None:
    assert await bucket.read(open_jobs=MANY) == b"one\n"
    bucket.job.objects.write_chunk(4, b"two\n")
    assert await bucket.read(open_jobs=MANY) == b"one\n"
    assert await bucket.read(open_jobs=MANY, offset=1) == b"ne\n"
    assert await bucket.read(open_jobs=MANY, offset=4) == b""


async def test_whoever_knows_more_than_the_last_look_is_told_the_truth(bucket: Bucket) -> None:
    assert await bucket.read(open_jobs=MANY) == b"one\n"
    bucket.job.objects.write_chunk(4, b"two\n")
    assert await bucket.read(open_jobs=MANY, offset=6) == b"o\n"


async def test_a_job_that_waits_has_no_log_to_look_for(bucket: Bucket) -> None:
    bucket.batch_says(Rank.RUNNABLE)
    assert await bucket.read(open_jobs=MANY) == b""
    bucket.batch_says(Rank.RUNNING)
    assert await bucket.read(open_jobs=MANY) == b"one\n"  # the turn is still there


async def test_the_log_of_a_job_that_ended_is_never_rationed(bucket: Bucket) -> None:
    assert await bucket.read(open_jobs=MANY) == b"one\n"
    bucket.job.objects.write_chunk(4, b"two\n")
    bucket.batch_says(Rank.SUCCEEDED)
    assert await bucket.read(open_jobs=MANY) == b"one\ntwo\n"
