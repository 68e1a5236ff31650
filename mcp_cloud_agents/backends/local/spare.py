"""A spare worker: started before it is needed, so that a submit does not wait for its start.

    server ── socket: path of a job folder, pipe ──► spare ── fork ──► the job's supervisor
                                     pipe: "k" ◄──────────────────────────┘

The spare has imported what a job needs and tried its sandbox; a job costs it a fork. It is never
the job: whoever kills the spare or the server leaves the jobs alone, and a job that the spare did
not take is started the usual way. Its other half is `worker/spare.py`.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import subprocess
import sys
from threading import Lock
from typing import TYPE_CHECKING

from mcp_cloud_agents.backends.local.hand_over import handed_over
from mcp_cloud_agents.backends.local.spawn import READY, answered, detach

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.handed import Handed
    from mcp_cloud_agents.storage.job_folder import JobFolder

_log = logging.getLogger(__name__)
_ANSWERS_WITHIN_S = 3.0
"""The start of a supervisor takes a tenth of a second; a spare that needs longer hangs."""


class Spare:
    """The spare of one server: at most one at any time. Threads may share it.

    Args:
        job_uid: host user of commands when this process is root.
    """

    def __init__(self, job_uid: int | None) -> None:
        self._uid = "" if job_uid is None else str(job_uid)
        self._lock = Lock()
        self._door: socket.socket | None = None

    def wake(self) -> None:
        """Have one; takes about 10 ms when there is none. Without one, jobs start all the same."""
        if sys.platform != "linux":  # elsewhere there are no sockets of this kind
            return
        with self._lock:
            if self._door is not None and _is_gone(self._door):
                self._door.close()
                self._door = None
            if self._door is None:
                try:
                    self._door = _started(self._uid)
                except (OSError, subprocess.SubprocessError):
                    _log.exception("spare_not_started")

    def take(self, folder: JobFolder, values: Handed) -> bool:
        """Hand the job over; whether its first state is on the disk.

        Args:
            folder: the job's.
            values: keys of the job's models and its secrets. They are read by the job's
                supervisor, never by the spare.

        Raises:
            ModelUnusable, SecretUnusable: they are too long to be handed over.

        False leaves nothing undecided: a spare that wakes up too late finds that the job is held
        by another supervisor, or has run.
        """
        with self._lock:
            door = self._door
        if door is None:
            return False
        reading, writing = os.pipe()
        try:
            try:
                with handed_over(values) as handed:
                    fds = [writing, *handed]
                    socket.send_fds(door, [os.fsencode(folder.path)], fds, socket.MSG_DONTWAIT)
            finally:
                os.close(writing)  # what is left are the spare's and the supervisor's
            taken = answered(reading, _ANSWERS_WITHIN_S) == READY
        except OSError:  # it has ended, or its queue is full
            taken = False
        finally:
            os.close(reading)
        if not taken:
            self._dismiss(door)
        return taken

    def _dismiss(self, door: socket.socket) -> None:
        """A spare whose door is closed ends by itself."""
        with self._lock:
            if self._door is door:
                self._door = None
        door.close()


def _started(uid: str) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, open(os.devnull, "wb") as nowhere:
        try:
            # Our pid is for whoever reads the list of processes.
            words = ["--spare", str(theirs.fileno()), uid, str(os.getpid())]
            detach(words, [theirs.fileno()], nowhere.fileno())
        except BaseException:
            ours.close()
            raise
    return ours


def _is_gone(door: socket.socket) -> bool:
    """Whether the other end is closed; a spare never says anything."""
    poll = select.poll()
    poll.register(door, select.POLLIN)
    return bool(poll.poll(0))
