"""Asking the store again while it is out of reach: nothing is given up for a bad minute."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 8.0


def patiently(act: Callable[[], T], *, within_s: float) -> T:
    """Do it, again and again while the store is out of reach; the time decides, not a number.

    Args:
        act: what to do; it may be done twice.
        within_s: no try begins later than this.

    Raises:
        StoreUnavailable: it did not come back in time.
    """
    give_up_at = time.monotonic() + within_s
    delay = _FIRST_DELAY_S
    while True:
        try:
            return act()
        except StoreUnavailable as exc:
            if time.monotonic() + delay > give_up_at:
                raise
            _log.warning("store_unavailable: %s", exc.message)
        threading.Event().wait(delay)
        delay = min(2 * delay, _LONGEST_DELAY_S)
