"""Artifacts out of the bucket: what is shown is what was held against its digest.

Each is fetched whole into a file without a name, and its sha256 is compared with the one in the
job's result before the first byte is shown. Pages are read from that file: nobody can change the
object between the check and a page, and a reader of many pages fetches it once.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.domain.errors import JobCorrupt
from mcp_cloud_agents.ports.backend import Bytes

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.objects import Objects
    from mcp_cloud_agents.domain.result import Artifact
    from mcp_cloud_agents.storage.job_objects import JobObjects

_KEPT = 8
"""Files that stay open; the one unused for longest goes first."""


class Artifacts:
    """Artifacts that results tell of.

    Args:
        objects: the bucket.
        kept: how many stay on this disk for the next page.
    """

    def __init__(self, objects: Objects, *, kept: int = _KEPT) -> None:
        self._objects = objects
        self._kept = kept
        self._files: OrderedDict[str, _Spooled] = OrderedDict()
        self._fetching: dict[str, anyio.Lock] = {}

    async def read(self, job: JobObjects, told: Artifact, offset: int, limit: int) -> Bytes | None:
        """A piece of an artifact; None when the bucket has none of this name.

        Args:
            job: whose it is.
            told: what the job's result says of it.
            offset: where to begin; at most the size counts.
            limit: bytes.

        Raises:
            JobCorrupt: it is not what the result says.
            NoSpace: this disk has no room for it.
            StoreUnavailable, StoreDenied: see the store.
        """
        file = await self._file(job, told)
        if file is None:
            return None
        at = min(offset, told.size_bytes)
        data = await self._objects.read(partial(file.read, limit, at))
        return Bytes(data=data, offset=at, size=told.size_bytes)

    async def _file(self, job: JobObjects, told: Artifact) -> _Spooled | None:
        key = f"{job.id}/{told.name}"
        lock = self._fetching.setdefault(key, anyio.Lock())
        try:
            async with lock:
                found = self._files.pop(key, None) or await self._objects.read(
                    partial(_fetched, job, told)
                )
        finally:
            if not lock.statistics().tasks_waiting:
                self._fetching.pop(key, None)
        if found is not None:
            self._files[key] = found
            while len(self._files) > self._kept:
                self._files.popitem(last=False)  # whoever reads it still holds it
        return found


class _Spooled:
    """A file without a name, closed when its last reader has gone."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)

    def read(self, limit: int, offset: int) -> bytes:
        """At most `limit` bytes from `offset` on."""
        return os.pread(self._fd, limit, offset)

    def sha256(self) -> str:
        """Of all of it, in hexadecimal."""
        with open(self._fd, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _fetched(job: JobObjects, told: Artifact) -> _Spooled | None:
    with tempfile.TemporaryDirectory(prefix="mca-") as folder:
        path = os.path.join(folder, "artifact")
        if not job.download_artifact(told.name, path, limit=told.size_bytes + 1):
            return None
        file = _Spooled(path)
    if file.sha256() != told.sha256:
        raise JobCorrupt(
            f"The artifact {told.name} of job {job.id} is not what its result says: the "
            "digests differ.",
            hint="Somebody changed the bucket. Do not use it; submit the work again with "
            "fresh=true, and look at who can write to the bucket.",
        )
    return file
