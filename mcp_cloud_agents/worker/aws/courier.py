"""Carries the log's chunks and the state to the store, from a thread: nobody waits for the network.

What cannot be sent now stays in the spool and is sent later, in order and once. Chunks are sent
after a second at first, later after five, or when they are large: a PUT costs money.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.storage.job_objects import StoredState

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.result import Progress
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.storage.job_objects import JobObjects
    from mcp_cloud_agents.worker.aws.spool import Spool

_log = logging.getLogger(__name__)
_LOOK_S = 0.1
_SOON_S, _LATE_S, _SOON_UNTIL_S = 1.0, 5.0, 120.0
_LARGE, _LARGEST = 256 << 10, 4 << 20
_BEAT_S, _PROGRESS_S = 15.0, 5.0
_ALIVE_S = 120.0
"""A worker whose main thread was not heard of for so long tells no heartbeat."""
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 8.0


class Courier:
    """Sends one attempt's log and states.

    Args:
        objects: of the job.
        spool: of this attempt.
        base: offset of the spool's first byte in the job's log.
        attempt: its number.
        status: what to tell first.
    """

    def __init__(
        self, objects: JobObjects, spool: Spool, *, base: int, attempt: int, status: JobStatus
    ) -> None:
        self._objects = objects
        self._spool = spool
        self._base = base
        self._attempt = attempt
        self._status = status
        self._wanted, self._written = 1, 0
        self._sent = 0
        self._unsent_since: float | None = None
        self._started_at = self._alive_at = time.monotonic()
        self._told_at = 0.0
        self._progressed = False
        self._closing = threading.Event()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def post(self, status: JobStatus, *, wait_s: float) -> None:
        """Tell this state, and wait a little until it is told; later ones go over earlier ones."""
        with self._news:
            self._status = replace(status, progress=status.progress or self._status.progress)
            self._wanted += 1
            self._news.notify_all()
            wanted = self._wanted
            self._news.wait_for(lambda: self._written >= wanted, wait_s)

    def alive(self, progress: Progress | None) -> None:
        """The main thread is at work; told with the next heartbeat, news of progress sooner."""
        self._alive_at = time.monotonic()
        if progress is not None and progress != self._status.progress:
            with self._news:
                self._status = replace(self._status, progress=progress)
                self._progressed = True

    def close(self, timeout_s: float) -> bool:
        """Send what is left and end; whether all was sent in the time."""
        self._closing.set()
        with self._news:
            self._news.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and self._sent == self._spool.size

    def _run(self) -> None:
        delay, give_up_at = 0.0, float("inf")
        while True:
            closing = self._closing.is_set()
            if closing and give_up_at == float("inf"):
                give_up_at = time.monotonic() + _LONGEST_DELAY_S
            try:
                done = self._step(closing=closing)
                delay = 0.0
            except AgentsError as exc:
                _log.warning("not_sent: %s", exc)
                done = time.monotonic() > give_up_at
                delay = min(max(2 * delay, _FIRST_DELAY_S), _LONGEST_DELAY_S)
            except Exception:  # noqa: BLE001  the log must go on, whatever one call did
                _log.exception("courier_failed")
                done, delay = closing, _LONGEST_DELAY_S
            if closing and done:
                return
            self._pause(delay)

    def _pause(self, delay: float) -> None:
        """Until the next look; woken by a state to tell, unless the store was just not there."""
        with self._news:
            if delay:
                self._news.wait_for(self._closing.is_set, delay)
            elif self._written >= self._wanted and not self._closing.is_set():
                self._news.wait(_LOOK_S)

    def _step(self, *, closing: bool) -> bool:
        """Do what is due; whether nothing is left."""
        if self._state_is_due(closing=closing):
            self._tell()
        if self._chunk_is_due(closing=closing):
            self._send()
        return self._sent == self._spool.size and self._written >= self._wanted

    def _state_is_due(self, *, closing: bool) -> bool:
        now = time.monotonic()
        if self._written < self._wanted:
            return True
        alive = now - self._alive_at < _ALIVE_S
        period_s = _PROGRESS_S if self._progressed else _BEAT_S
        return alive and not closing and now - self._told_at >= period_s

    def _tell(self) -> None:
        with self._news:
            wanted, status, self._progressed = self._wanted, self._status, False
        now = time.time()
        told = replace(status, log_bytes=self._base + self._sent, heartbeat_at=now)
        stored = StoredState(status=told, attempt=self._attempt, heartbeat_at=now)
        self._objects.write_state(stored)
        self._told_at = time.monotonic()
        with self._news:
            self._written = wanted
            self._news.notify_all()

    def _chunk_is_due(self, *, closing: bool) -> bool:
        waiting = self._spool.size - self._sent
        if not waiting:
            self._unsent_since = None
            return False
        now = time.monotonic()
        self._unsent_since = self._unsent_since or now
        young = now - self._started_at < _SOON_UNTIL_S
        age = now - self._unsent_since
        return closing or waiting >= _LARGE or age >= (_SOON_S if young else _LATE_S)

    def _send(self) -> None:
        data = self._spool.read(self._sent, _LARGEST)
        if self._objects.write_chunk(self._base + self._sent, data):
            self._sent += len(data)
            self._unsent_since = None
            return
        # Another attempt writes, too: what is ours goes behind what it has written.
        chunks = self._objects.chunks()
        self._base = (chunks[-1].end if chunks else 0) - self._sent
        _log.warning("log_moved: another attempt writes to this job's log")
