"""The port `Audit` whose entries also go into the copy: behind the answers, as long as we live.

append ─ the entry, durably ─ wake ···▶ thread: copy what is ripe ─ look again while some is not
"""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mcp_cloud_agents.ports.audit import Audit, Entry, Link
    from mcp_cloud_agents.storage.audit_copy import Copied

_log = logging.getLogger(__name__)
_AGAIN_S = 120.0
"""Between two looks: an entry waits at most so much longer than the copy lets it wait."""


class CopiedAudit:
    """See the module and the port. What cannot be copied is told in the log and tried again.

    Args:
        audit: keeps the entries.
        copy: copies what waits for long enough, as `AuditCopy.copy_pending` does; may block for
            minutes, and is never called twice at once.
        again_s: seconds between two looks while entries wait.
    """

    def __init__(
        self, audit: Audit, copy: Callable[[], Copied], *, again_s: float = _AGAIN_S
    ) -> None:
        self._audit = audit
        self._copy = copy
        self._again_s = again_s
        self._lock = Lock()
        self._thread: Thread | None = None
        self._new = False
        self._problem = ""

    def append(self, entry: Entry) -> Link:
        """See the port."""
        link = self._audit.append(entry)
        with self._lock:
            self._new = True
            if self._thread is None:
                self._thread = Thread(target=self._follow, name="audit-copy", daemon=True)
                self._thread.start()
        return link

    def links(self) -> Iterator[Link]:
        """See the port."""
        return self._audit.links()

    def _follow(self) -> None:
        """Until nothing waits; the next entry starts another thread."""
        pause = Event()
        while True:
            pause.wait(self._again_s)
            self._new = False
            waits = self._waits()
            with self._lock:
                if not waits and not self._new:
                    self._thread = None
                    return

    def _waits(self) -> bool:
        """Copy; whether some of it is left."""
        try:
            copied = self._copy()
        except AgentsError as exc:
            self._tell(exc.message)
            return True
        self._tell(copied.problem)
        return copied.pending > 0 or bool(copied.problem)

    def _tell(self, problem: str) -> None:
        """Once of each in a row."""
        if problem and problem != self._problem:
            _log.warning("audit_not_copied: %s", problem)
        self._problem = problem
