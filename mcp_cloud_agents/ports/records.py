"""The index of jobs: what was asked for, under which key. States are the backend's to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.job import JobSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.job import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A job in the index."""

    spec: JobSpec
    backend: str


class Records(Protocol):
    """Several processes use one index at once. All methods block; call them in a thread.

    Each method raises StateUnusable when the index cannot be used, NoSpace when the disk is full.
    """

    def claim(self, record: Record) -> Record:
        """Store the record, durably, unless one with the same key exists; return what is stored."""
        ...

    def by_key(self, key: str) -> Record | None:
        """The record claimed under this key."""
        ...

    def get(self, job_id: JobId) -> Record:
        """The record of a job.

        Raises:
            UnknownJob: there is none.
        """
        ...

    def latest(self, *, workspace: str | None, limit: int) -> tuple[Record, ...]:
        """Newest first; of one worktree (its top folder), or of all."""
        ...

    def forget(self, job_ids: Sequence[JobId]) -> None:
        """Drop jobs from the index; ids that are not in it are passed over."""
        ...

    def same_work(self, digest: str) -> tuple[Record, ...]:
        """Jobs with this work digest, newest first, at most 20."""
        ...
