"""Whether the job has to end: somebody asked for it in the store, or the container is being ended.

SIGTERM comes from a Spot reclaim, a timeout of Batch or TerminateJob; SIGKILL follows after 30 s.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError

if TYPE_CHECKING:
    from types import FrameType

    from mcp_cloud_agents.storage.job_objects import JobObjects

_log = logging.getLogger(__name__)
_LOOK_S = 3.0
_LOOKS = 3
"""Before the end of a container is taken for a reclaim: the client tries again itself as well."""
_KILL_AFTER_S = 30.0
_SPARE_S = 5.0
_FAR = 1e9


class Terminated(BaseException):
    """SIGTERM came before there was a job to end: nothing is left to do."""


class CancelWatch:
    """Looks for the cancel object from a thread, and holds the signal.

    Attributes:
        interrupts: whether SIGTERM raises `Terminated` in the main thread, which is right as long
            as nothing looks at `ended`.
    """

    def __init__(self, objects: JobObjects) -> None:
        self._objects = objects
        self._asked = threading.Event()
        self._stopped = threading.Event()
        self._terminated_at: float | None = None
        self.interrupts = True

    def start(self) -> None:
        """Take the signal, and begin to look. From the main thread."""
        signal.signal(signal.SIGTERM, self._terminate)
        threading.Thread(target=self._run, name="cancel", daemon=True).start()

    def stop(self) -> None:
        """No more looking."""
        self._stopped.set()

    def ended(self) -> bool:
        """Whether the job has to end, for whichever reason; once True, always True."""
        return self._asked.is_set() or self._terminated_at is not None

    @property
    def terminated(self) -> bool:
        """Whether the container is being ended."""
        return self._terminated_at is not None

    def reclaimed(self) -> bool:
        """Whether the container is being ended and nobody asked for the job's end."""
        if self._terminated_at is None:
            return False
        for _ in range(_LOOKS):
            if self._look():
                break
        return not self._asked.is_set()

    def left_s(self) -> float:
        """Seconds until SIGKILL, some kept to spare; very many while no signal came."""
        if self._terminated_at is None:
            return _FAR
        gone = time.monotonic() - self._terminated_at
        return max(0.5, _KILL_AFTER_S - _SPARE_S - gone)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._terminated_at = self._terminated_at or time.monotonic()
        if self.interrupts:
            raise Terminated

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_S) and not self._asked.is_set():
            self._look()

    def _look(self) -> bool:
        """Whether the store answered."""
        try:
            if self._objects.cancel_asked():
                self._asked.set()
        except AgentsError as exc:
            _log.warning("cancel_not_seen: %s", exc)
            return False
        return True
