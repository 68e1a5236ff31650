"""The values that a process has resolved, so that neither its log nor its errors show one."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.governance.redaction import Redactor

_MOST = 256


class KnownSecrets:
    """The last 256 values, in memory only. Threads may share it."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, None] = OrderedDict()
        self._redactor: Redactor | None = None
        self._lock = Lock()

    def remember(self, values: Iterable[str]) -> None:
        """From now on they are taken out."""
        from mcp_cloud_agents.governance.redaction import Redactor  # a server starts without

        with self._lock:
            for value in values:
                self._values[value] = None
                self._values.move_to_end(value)
            while len(self._values) > _MOST:
                self._values.popitem(last=False)
            self._redactor = Redactor(self._values)

    def known(self, text: str) -> str:
        """The text without them."""
        return text if self._redactor is None else self._redactor.known(text)
