"""Artifacts of any size are held against the digest in the result before a byte is shown."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.aws_batch.artifacts import Artifacts
from mcp_cloud_agents.backends.aws_batch.objects import Objects
from mcp_cloud_agents.domain.errors import JobCorrupt
from mcp_cloud_agents.domain.result import Artifact
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.storage.folder_store import FolderStore
from mcp_cloud_agents.storage.job_objects import JobObjects

pytestmark = pytest.mark.anyio
LARGE = bytes(range(256)) * (40 << 12)  # 40 MiB


@pytest.fixture
def job(tmp_path: Path) -> JobObjects:
    return JobObjects(FolderStore(str(tmp_path / "store")), "j1")


def an_artifact(job: JobObjects, folder: Path, data: bytes, name: str = "big.bin") -> Artifact:
    """Put into the store; what a result says of it."""
    (folder / name).write_bytes(data)
    job.replace_artifact(name, str(folder / name))
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(name=name, media_type="x/y", size_bytes=len(data), sha256=sha256)


def artifacts(tmp_path: Path, kept: int = 8) -> Artifacts:
    return Artifacts(Objects(FolderStore(str(tmp_path / "store"))), kept=kept)


async def test_a_large_artifact_is_read_by_pages(job: JobObjects, tmp_path: Path) -> None:
    told, reading = an_artifact(job, tmp_path, LARGE), artifacts(tmp_path)
    end = len(LARGE)
    assert await reading.read(job, told, 0, 3) == Bytes(data=b"\0\1\2", offset=0, size=end)
    last = await reading.read(job, told, end - 2, 9)
    assert last == Bytes(data=b"\xfe\xff", offset=end - 2, size=end)
    assert await reading.read(job, told, end + 9, 9) == Bytes(data=b"", offset=end, size=end)


@pytest.mark.parametrize("change", ["the last byte", "one byte more", "one byte less"])
async def test_a_changed_large_artifact_is_not_shown(
    job: JobObjects, tmp_path: Path, change: str
) -> None:
    told = an_artifact(job, tmp_path, LARGE)
    changed = {
        "the last byte": LARGE[:-1] + b"\0",
        "one byte more": LARGE + b"\0",
        "one byte less": LARGE[:-1],
    }
    an_artifact(job, tmp_path, changed[change])
    with pytest.raises(JobCorrupt, match="digests differ") as caught:
        await artifacts(tmp_path).read(job, told, 0, 1)
    assert "fresh=true" in caught.value.hint


async def test_what_was_checked_is_what_is_shown(job: JobObjects, tmp_path: Path) -> None:
    told, reading = an_artifact(job, tmp_path, b"honest"), artifacts(tmp_path)
    await reading.read(job, told, 0, 1)
    an_artifact(job, tmp_path, b"forged")
    piece = await reading.read(job, told, 0, 9)
    assert piece == Bytes(data=b"honest", offset=0, size=6)


async def test_only_the_latest_artifacts_stay_on_the_disk(job: JobObjects, tmp_path: Path) -> None:
    reading = artifacts(tmp_path, kept=1)
    first = an_artifact(job, tmp_path, b"1", "first")
    second = an_artifact(job, tmp_path, b"2", "second")
    await reading.read(job, first, 0, 1)
    await reading.read(job, second, 0, 1)
    an_artifact(job, tmp_path, b"x", "first")
    an_artifact(job, tmp_path, b"x", "second")
    assert await reading.read(job, second, 0, 1) == Bytes(data=b"2", offset=0, size=1)
    with pytest.raises(JobCorrupt):
        await reading.read(job, first, 0, 1)


async def test_an_artifact_that_is_gone_is_none(job: JobObjects, tmp_path: Path) -> None:
    told = Artifact(name="gone", media_type="x/y", size_bytes=1, sha256="0" * 64)
    assert await artifacts(tmp_path).read(job, told, 0, 1) is None
