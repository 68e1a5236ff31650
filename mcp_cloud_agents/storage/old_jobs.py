"""Removing job folders by age and size: only of jobs that have ended, the oldest first."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.storage.job_folder import WORKING, JobFolder
from mcp_cloud_agents.storage.trees import remove_tree, size_of

if TYPE_CHECKING:
    from collections.abc import Generator

_DAY_S = 86_400.0
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, order=True)
class _Ended:
    """A job that may be removed."""

    at: float
    path: str
    size_bytes: int


def remove_old_jobs(
    jobs: str, *, keep_days: float, keep_gib: float, now: float
) -> tuple[JobId, ...]:
    """Remove jobs that ended long ago, then the oldest beyond the size.

    Args:
        jobs: the folder of job folders.
        keep_days: age since the last change of its state.
        keep_gib: size of all ended jobs that stay.
        now: seconds since the epoch.

    Returns:
        Ids of the jobs that were removed.
    """
    _remove_leftovers(jobs, now)
    room, removed = keep_gib * _GIB, list[JobId]()
    for job in sorted(_ended(jobs), reverse=True):
        _remove_working(job.path)
        room -= job.size_bytes
        if (room < 0 or now - job.at > keep_days * _DAY_S) and _remove(jobs, job.path):
            removed.append(JobId(os.path.basename(job.path)))
    return tuple(removed)


def _ended(jobs: str) -> list[_Ended]:
    found: list[_Ended] = []
    for name in os.listdir(jobs):
        folder = JobFolder(os.path.join(jobs, name))
        if name.startswith("."):
            continue
        with contextlib.suppress(OSError, UnknownJob):
            try:
                done = folder.status().state.done
            except JobCorrupt:
                done = True  # its age decides
            if done:
                changed = max(os.stat(folder.path).st_mtime, _mtime(folder.file("state.json")))
                found.append(_Ended(changed, folder.path, size_of(folder.path)))
    return found


def _remove_working(path: str) -> None:
    """What a killed supervisor could not remove any more."""
    left = [os.path.join(path, name) for name in WORKING]
    if any(map(os.path.isdir, left)):
        with _held(os.path.join(path, "lock")) as held:
            for folder in left if held else ():
                remove_tree(folder)


def _mtime(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _remove(jobs: str, path: str) -> bool:
    """Move it aside under its lock, so that nobody starts it meanwhile; then remove it."""
    aside = os.path.join(jobs, f".old-{os.path.basename(path)}")
    with _held(os.path.join(path, "lock")) as held:
        if not held:
            return False
        os.rename(path, aside)
    remove_tree(aside)
    return True


@contextlib.contextmanager
def _held(lock: str) -> Generator[bool]:
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _remove_leftovers(jobs: str, now: float) -> None:
    """Folders of a creation or removal that was cut short a day ago or more."""
    for name in os.listdir(jobs):
        path = os.path.join(jobs, name)
        if name.startswith(".") and now - _mtime(path) > _DAY_S:
            remove_tree(path)
