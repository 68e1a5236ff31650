"""Starting a job's supervisor: a process of its own that owes the server nothing."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.storage.files import read_whole, storage_errors

if TYPE_CHECKING:
    from mcp_cloud_agents.storage.job_folder import JobFolder

READY = b"k"
_DEADLINE_S = 30.0


def spawn(folder: JobFolder) -> None:
    """Start the supervisor and wait until its first state is on the disk.

    Nothing happens when another supervisor has the job, or it ran before.

    Raises:
        BackendFailed: it did not start; calling again is safe.
        NoSpace: the disk is full.
    """
    reading, writing = os.pipe()
    try:
        try:
            _first_stage(folder, writing)
        finally:
            os.close(writing)
        answer = _answer(reading)
    finally:
        os.close(reading)
    if answer != READY and not os.path.exists(folder.file("state.json")):
        raise _did_not_start(folder)


def _first_stage(folder: JobFolder, ready: int) -> None:
    """Run the stage that forks the supervisor off and exits, so that no zombie is left."""
    with storage_errors(folder.path):
        log = os.open(folder.file("supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "mcp_cloud_agents.worker", folder.path, str(ready)],
            pass_fds=[ready],
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    try:
        process.wait(_DEADLINE_S)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        process.wait()
        raise _did_not_start(folder) from exc


def _answer(reading: int) -> bytes:
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    return os.read(reading, 1) if poll.poll(_DEADLINE_S * 1000) else b""


def _did_not_start(folder: JobFolder) -> BackendFailed:
    said = (read_whole(folder.file("supervisor.log")) or b"").decode("utf-8", "replace")
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return BackendFailed(
        f"The job's supervisor did not start: {last[0][:300]}.",
        hint=f"Its output is in {folder.file('supervisor.log')}; submitting again is safe.",
    )
