"""One table of DynamoDB as the ledger needs it: calls, and how often they are tried."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from mcp_cloud_agents.domain.errors import LedgerUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
_WITHIN_S = 10.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.02, 0.5


class Cancelled(Exception):
    """A call that was not done, as others are at the same rows. Another look at them tells more.

    Attributes:
        reasons: codes, one for each item, or one for all.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons


class AnswerLost(LedgerUnusable):
    """The table may have been changed, and nobody can say so now."""


class Table(Protocol):
    """Blocks; any thread may call at any time.

    All methods raise Cancelled: try again; LedgerUnusable: the table cannot be used, and nothing
    was changed; its subclass AnswerLost: it may have been.
    """

    @property
    def name(self) -> str:
        """Of the table, for messages."""
        ...

    def get(self, keys: list[Json]) -> list[Json]:
        """Those of the items that are there, at most 100, as they are at this moment."""
        ...

    def write(self, items: list[Json]) -> None:
        """TransactWriteItems, at most 100, each without its table's name."""
        ...

    def scan(self, **asked: Any) -> Iterator[Json]:
        """Every item that a filter lets through, as they are at this moment."""
        ...


def turns() -> Iterator[bool]:
    """One turn a try, with random and longer and longer waits between; True: it is the last."""
    deadline, wait_s, pause = time.monotonic() + _WITHIN_S, _FIRST_WAIT_S, threading.Event()
    while True:
        late = time.monotonic() + wait_s > deadline
        yield late
        if late:
            return
        pause.wait(random.uniform(0, wait_s))  # noqa: S311  spreads load, no secret
        wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
