"""One job in a shared store: objects are the truth, wherever the worker and its readers run.

jobs/<id>/
  spec.json           what was asked for, written once
  state.json          the status with the attempt that it is of; replaced by the worker
  log/<offset>        raw bytes of the log from that offset on (12 digits), written once each
  log.bin             the whole log, written when the job ends, before the result
  artifacts/<name>    what was kept, written once, under names of ours
  cancel              its existence is the request
  owner               who does the job: an id of Batch, written once; all others leave
  result.json         the last word of the attempt that was first to have one
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import SPEC_VERSION, JobId, JobSpec
from mcp_cloud_agents.domain.result import RESULT_VERSION, JobResult
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.ports.store import Data, Store

T = TypeVar("T")
JOBS = "jobs/"
STATE_VERSION = 1
TRY_AGAIN = 75
"""Exit code of a worker that the store was out of reach for: the job has no result, and another
attempt may bring one (EX_TEMPFAIL of sysexits.h)."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_OFFSET = re.compile(r"[0-9]{12}", re.ASCII)
_MAX_JSON_BYTES = 64 << 20
_MAX_OWNER_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """The content of state.json."""

    status: JobStatus
    attempt: int
    """Which start of the job wrote it, from 1."""
    heartbeat_at: float
    """When it was written, by the worker's clock, in seconds since the epoch."""
    version: int = STATE_VERSION


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the log."""

    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.offset + self.size_bytes


class JobObjects:
    """Reads and writes one job's objects; blocks. Errors of the store pass through.

    Args:
        store: where they are.
        job_id: of the job.

    Raises:
        UnknownJob: no job has such an id.
    """

    def __init__(self, store: Store, job_id: str) -> None:
        if not _ID.fullmatch(job_id):
            raise _unknown(job_id)
        self.id = JobId(job_id)
        self._store = store
        self._spec: JobSpec | None = None
        self._chunks: tuple[Chunk, ...] = ()

    def key(self, name: str) -> str:
        """Key of one of the objects above."""
        return f"{JOBS}{self.id}/{name}"

    def write_spec(self, spec: JobSpec) -> bool:
        """Write what is asked for; False: another specification is there, and stays."""
        return self._write_once("spec.json", msgspec.json.encode(spec))

    def spec(self) -> JobSpec:
        """What was asked for.

        Raises:
            UnknownJob: there is none.
            JobCorrupt: it is damaged, of another job, or of a newer version.
        """
        if self._spec is None:
            found = self._read("spec.json", JobSpec, SPEC_VERSION)
            if found is None:
                raise _unknown(self.id)
            if found.id != self.id:
                raise self._corrupt("spec.json", f"it is of job {found.id[:80]!r}")
            self._spec = found
        return self._spec

    def write_state(self, state: StoredState) -> None:
        """Replace the state, durably."""
        self._store.put(self.key("state.json"), msgspec.json.encode(state))

    def state(self) -> StoredState | None:
        """The state; None before the worker's first word.

        Raises:
            JobCorrupt: it is damaged, or of a newer version.
        """
        return self._read("state.json", StoredState, STATE_VERSION)

    def write_result(self, result: JobResult) -> bool:
        """Write the last word; False: another attempt had it already, and it stays."""
        return self._write_once("result.json", msgspec.json.encode(result))

    def result(self) -> JobResult | None:
        """The last word; None while there is none.

        Raises:
            JobCorrupt: it is damaged, of a newer version, or not about what was asked for.
        """
        found = self._read("result.json", JobResult, RESULT_VERSION)
        if found is None:
            return None
        if (found.job_id, found.spec_digest) != (self.id, self.spec().digest):
            raise self._corrupt("result.json", "it belongs to another job or specification")
        if not found.state.done:
            raise self._corrupt("result.json", f"{found.state} is no end of a job")
        return found

    def ask_to_cancel(self) -> None:
        """Leave the request, durably."""
        self._store.put_new(self.key("cancel"), b"")

    def cancel_asked(self) -> bool:
        """Whether somebody asked the job to end."""
        return self._store.size(self.key("cancel")) is not None

    def take(self, owner: str) -> str:
        """Give the job to this one, unless it was given before; whose it is now, for good."""
        if self._store.put_new(self.key("owner"), owner.encode()):
            return owner
        return self.owner() or owner

    def owner(self) -> str:
        """Whose the job is; empty while nobody took it."""
        found = self._store.get(self.key("owner"), limit=_MAX_OWNER_BYTES) or b""
        return found.decode("ascii", "replace")

    def write_chunk(self, offset: int, data: bytes) -> bool:
        """Write the next part of the log.

        Args:
            offset: where it begins: the end of all before it.
            data: not empty.

        Returns:
            False when another attempt wrote something else there: `chunks` tells where to go on.
        """
        if not data:
            return True
        return self._write_once(f"log/{offset:012}", data)

    def chunks(self) -> tuple[Chunk, ...]:
        """The parts of the log without a gap from its beginning, in order."""
        known = self._chunks
        after = self.key(f"log/{known[-1].offset:012}") if known else ""
        prefix = self.key("log/")
        new: dict[int, int] = {}
        for one in self._store.list(prefix, after=after):
            if _OFFSET.fullmatch(name := one.key[len(prefix) :]) and one.size_bytes:
                new[int(name)] = one.size_bytes
        found = list(known)
        while (end := found[-1].end if found else 0) in new:
            found.append(Chunk(end, new[end]))
        self._chunks = tuple(found)
        return self._chunks

    def write_log(self, data: Data) -> None:
        """Write the whole log, as one object; it holds at least what the parts hold."""
        self._store.put(self.key("log.bin"), data)

    def log(self, offset: int, limit: int) -> Bytes:
        """Raw bytes of the log; an offset past the end gives an empty piece at the end."""
        whole = self._store.size(self.key("log.bin")) or 0
        if offset + limit > whole:  # else its end does not matter
            chunks = self.chunks()
            if chunks and chunks[-1].end > whole:
                return self._from_chunks(chunks, offset, limit)
        at = min(offset, whole)
        data = self._store.get(self.key("log.bin"), offset=at, limit=limit) if at < whole else b""
        return Bytes(data=data or b"", offset=at, size=whole)

    def put_artifact(self, name: str, path: str) -> bool:
        """Write a file that was kept; False: another attempt did, and it stays.

        Raises:
            OSError: the file cannot be read.
        """
        key = self._artifact(name)
        if key is None:
            raise ValueError(f"no name of an artifact: {name[:80]!r}")
        with open(path, "rb") as file:
            return self._store.put_new(key, file)

    def replace_artifact(self, name: str, path: str) -> None:
        """Write over what an attempt left that ended before its result: nobody was told of it."""
        if (key := self._artifact(name)) is not None:
            with open(path, "rb") as file:
                self._store.put(key, file)

    def artifact(self, name: str, offset: int, limit: int) -> Bytes | None:
        """Raw bytes of a file that was kept; None when there is none of this name."""
        key = self._artifact(name)
        size = self._store.size(key) if key else None
        if key is None or size is None:
            return None
        at = min(offset, size)
        data = self._store.get(key, offset=at, limit=limit) if at < size else b""
        return Bytes(data=data or b"", offset=at, size=size)

    def download_artifact(self, name: str, path: str, *, limit: int) -> bool:
        """Copy at most `limit` bytes of a file that was kept to `path`; False: there is none."""
        key = self._artifact(name)
        return key is not None and self._store.download(key, path, limit=limit)

    def _from_chunks(self, chunks: Sequence[Chunk], offset: int, limit: int) -> Bytes:
        end = chunks[-1].end
        offset = min(offset, end)
        parts: list[bytes] = []
        at, left = offset, limit
        for chunk in chunks:
            if left <= 0 or chunk.end <= at:
                continue
            key = self.key(f"log/{chunk.offset:012}")
            wanted = min(left, chunk.end - at)
            data = self._store.get(key, offset=at - chunk.offset, limit=wanted)
            parts.append(data or b"")
            if len(parts[-1]) < wanted:  # removed meanwhile: what follows would be shifted
                break
            at, left = at + wanted, left - wanted
        return Bytes(data=b"".join(parts), offset=offset, size=end)

    def _artifact(self, name: str) -> str | None:
        return self.key(f"artifacts/{name}") if _NAME.fullmatch(name) else None

    def _write_once(self, name: str, data: bytes) -> bool:
        """Also true when exactly this is there: a write before whose answer was lost."""
        key = self.key(name)
        return self._store.put_new(key, data) or self._store.get(key, limit=len(data) + 1) == data

    def _read(self, name: str, kind: type[T], version: int) -> T | None:
        data = self._store.get(self.key(name), limit=_MAX_JSON_BYTES)
        if data is None:
            return None
        try:
            if msgspec.json.decode(data, type=_Versioned).version > version:
                raise self._newer(name)
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as exc:
            raise self._corrupt(name, str(exc)) from exc

    def _corrupt(self, name: str, why: str) -> JobCorrupt:
        return JobCorrupt(
            f"{name} of job {self.id} is damaged: {why}.",
            hint=f"What there is of the job is in {self._store.name}/{self.key('')} and stays "
            "there; submit the work again with fresh=true.",
        )

    def _newer(self, name: str) -> JobCorrupt:
        return JobCorrupt(
            f"{name} of job {self.id} was written by a newer version of this program.",
            hint="Upgrade mcp-cloud-agents here (and the worker image), then ask again.",
        )


@dataclass(frozen=True, slots=True)
class _Versioned:
    """What every version of every document has."""

    version: int = 1


def job_ids(store: Store) -> tuple[JobId, ...]:
    """All jobs of a store, in the order of their ids."""
    return tuple(JobId(name) for name in store.folders(JOBS) if _ID.fullmatch(name))


def _unknown(job_id: str) -> UnknownJob:
    return UnknownJob(f"No job has the id {job_id[:80]!r}.", hint="List jobs with list_jobs.")
