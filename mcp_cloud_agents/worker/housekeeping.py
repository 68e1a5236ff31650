"""Cleaning up after jobs, once a day, by a worker whose job has ended: nobody waits for it."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.storage.job_folder import all_specs
from mcp_cloud_agents.storage.old_jobs import remove_old_jobs

if TYPE_CHECKING:
    from mcp_cloud_agents.storage.job_folder import HostPlan
    from mcp_cloud_agents.storage.state_folder import StateFolder

_log = logging.getLogger(__name__)
_EVERY_S = 86_400.0  # a day


def tidy(state: StateFolder, host: HostPlan) -> None:
    """Remove what is past its age or size, at most once a day a machine."""
    mark = os.open(state.tidied, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, now = os.fstat(mark), time.time()
        if found.st_size and now - found.st_mtime < _EVERY_S:
            return
        os.pwrite(mark, b"1", 0)
        _tidy(state, host, now)
    except BlockingIOError:
        return  # another worker is at it
    except (AgentsError, OSError):
        _log.exception("tidy_failed")
    finally:
        os.close(mark)


def _tidy(state: StateFolder, host: HostPlan, now: float) -> None:
    removed = remove_old_jobs(state.jobs, keep_days=host.keep_days, keep_gib=host.keep_gib, now=now)
    if removed:
        from mcp_cloud_agents.storage.sqlite_records import SqliteRecords  # rarely needed here

        SqliteRecords(state.records, lambda: ()).forget(removed)
    folder = EnvironmentFolder(state.environments, owner=host.owner)
    folder.open()
    folder.prune(keep_days=host.keep_days, keep_gib=host.keep_gib, now=now)
    _age_snapshots(state, host, now)


def _age_snapshots(state: StateFolder, host: HostPlan, now: float) -> None:
    """After the jobs: what they named is needed no more."""
    from mcp_cloud_agents.snapshots.ageing import age_stores  # once a day
    from mcp_cloud_agents.snapshots.old_caches import remove_old_caches

    specs = all_specs(state.jobs, on_damage=lambda what: _log.warning("job_damaged: %s", what))
    caches = remove_old_caches(state.snapshots, specs, keep_days=host.keep_days, now=now)
    age_stores(state.repositories, specs, caches, keep_s=host.keep_days * _EVERY_S, now=now)
