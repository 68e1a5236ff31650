"""What is written about an apply: before its first change, and for its undo.

<private git dir>.apply/     beside it, because that one is a cache and may be made anew
  active.json                  an apply that has begun; who finds it rolls it back
  done/<id>.json               applies that can be undone, newest last by name

One file is renamed from the first name to the second, and that is the moment when it is done.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.snapshots.apply.steps import Step
from mcp_cloud_agents.storage.files import read_whole, sync_folder, write_durably

JOURNAL = ".apply"
"""What is added to the name of the private git dir."""
ACTIVE = "active.json"
_KEPT = 50
_NAME = re.compile(r"([0-9]{20}-[0-9a-f]{8})\.json")
_MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One apply, or one undo of one."""

    id: str
    job_id: JobId
    before: str
    """Tree of the worktree before."""
    after: str
    """Tree of the worktree after, as far as git knows of it."""
    steps: tuple[Step, ...]
    staged_in: tuple[str, ...]
    """Folder of each step's new file until it gets its name."""
    made: tuple[str, ...]
    """Folders that are new, the outermost first."""
    undoes: str = ""
    """Id of the apply that this is the undo of."""

    def temporary(self, number: int) -> str:
        """Name of a step's new file until then."""
        return f".mca-{self.id}-{number}"


class Journal:
    """The records of one worktree; whoever uses it holds the private git dir."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._done = os.path.join(folder, "done")

    def active(self) -> Record | None:
        """An apply that was cut off. One that was not written whole has changed nothing."""
        data = read_whole(self._active, limit=_MAX_BYTES)
        try:
            return None if data is None else msgspec.json.decode(data, type=Record)
        except msgspec.MsgspecError:
            return None

    def begin(self, record: Record) -> None:
        """Durable before the first change."""
        os.makedirs(self._done, mode=0o700, exist_ok=True)
        write_durably(self._active, msgspec.json.encode(record))

    def finish(self, record: Record) -> None:
        """It is done, durably. An undo takes what it undid with it, and is not kept itself."""
        if record.undoes:
            self.drop()
            with suppress(FileNotFoundError):
                os.unlink(self._path(record.undoes))
            return
        os.rename(self._active, self._path(record.id))
        sync_folder(self._folder)
        sync_folder(self._done)

    def drop(self) -> None:
        """It has not happened."""
        with suppress(FileNotFoundError):
            os.unlink(self._active)
            sync_folder(self._folder)

    def last_of(self, job_id: JobId) -> Record | None:
        """The newest apply of a job that was not undone."""
        for record_id in reversed(self._ids()):
            data = read_whole(self._path(record_id), limit=_MAX_BYTES)
            with suppress(msgspec.MsgspecError):
                record = msgspec.json.decode(data or b"", type=Record)
                if record.job_id == job_id:
                    return record
        return None

    def forget_old(self) -> tuple[str, ...]:
        """Drop all but the newest; the ids that went."""
        old = tuple(self._ids()[:-_KEPT])
        for record_id in old:
            os.unlink(self._path(record_id))
        return old

    @property
    def _active(self) -> str:
        return os.path.join(self._folder, ACTIVE)

    def _path(self, record_id: str) -> str:
        return os.path.join(self._done, f"{record_id}.json")

    def _ids(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(
                found[1] for name in os.listdir(self._done) if (found := _NAME.fullmatch(name))
            )
        return []
