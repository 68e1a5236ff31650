"""Starting a job's supervisor: a process of its own that owes the server nothing."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

from mcp_cloud_agents.backends.local.hand_over import handed_over
from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.storage.files import read_whole, storage_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.handed import Handed
    from mcp_cloud_agents.storage.job_folder import JobFolder

READY = b"k"
_DEADLINE_S = 30.0


def spawn(folder: JobFolder, values: Handed) -> None:
    """Start the supervisor and wait until its first state is on the disk.

    Nothing happens when another supervisor has the job, or it ran before.

    Args:
        folder: the job's.
        values: keys of the job's models, and its secrets.

    Raises:
        BackendFailed: it did not start; calling again is safe.
        ModelUnusable, SecretUnusable: they are too long to be handed over.
        NoSpace: the disk is full.
    """
    reading, writing = os.pipe()
    try:
        try:
            with handed_over(values) as handed:
                _first_stage(folder, writing, handed)
        finally:
            os.close(writing)
        answer = answered(reading, _DEADLINE_S)
    finally:
        os.close(reading)
    if answer != READY and not os.path.exists(folder.file("state.json")):
        raise _did_not_start(folder)


def detach(words: list[str], inherited: Sequence[int], output: int) -> None:
    """Run a worker's first stage, which forks it off and exits, so that no zombie is left.

    Args:
        words: what the worker is told.
        inherited: descriptors it gets, under the same numbers.
        output: descriptor of its stdout and stderr.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: the stage did not exit.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "mcp_cloud_agents.worker", *words],
        pass_fds=inherited,
        cwd="/",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        process.wait(_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def answered(reading: int, timeout_s: float) -> bytes:
    """READY from whoever took the job; nothing when nobody did, or not in time."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    return os.read(reading, 1) if poll.poll(timeout_s * 1000) else b""


def _first_stage(folder: JobFolder, ready: int, handed: Sequence[int]) -> None:
    with storage_errors(folder.path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(folder.file("supervisor.log"), flags, 0o600)
    try:
        inherited = (ready, *handed)
        detach([folder.path, *map(str, inherited)], inherited, log)
    except subprocess.TimeoutExpired as exc:
        raise _did_not_start(folder) from exc
    finally:
        os.close(log)


def _did_not_start(folder: JobFolder) -> BackendFailed:
    said = (read_whole(folder.file("supervisor.log")) or b"").decode("utf-8", "replace")
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return BackendFailed(
        f"The job's supervisor did not start: {last[0][:300]}.",
        hint=f"Its output is in {folder.file('supervisor.log')}; submitting again is safe.",
    )
