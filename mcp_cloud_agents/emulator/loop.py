"""One thread for all jobs: timers, file descriptors that became readable, calls from elsewhere."""

from __future__ import annotations

import heapq
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

logger = logging.getLogger(__name__)

Call = Callable[[], None]


@dataclass(order=True, slots=True)
class Timer:
    """A call that will be made; `cancel` unmakes it."""

    at: float
    order: int
    call: Call | None = field(compare=False)

    def cancel(self) -> None:
        """Not to be called any more. Twice, or too late, is harmless."""
        self.call = None


class Loop:
    """Runs calls one after the other on its own thread.

    `soon` may be called from any thread; `later`, `watch` and `unwatch` from the loop's own.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._orders = count()
        self._soon: deque[Call] = deque()
        self._closed = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._thread = threading.Thread(target=self._run, name="emulator-jobs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the call under way; what was still planned is not done."""
        self.soon(self._close)
        self._thread.join(timeout=30)

    def soon(self, call: Call) -> None:
        """Call it on the loop's thread, in order."""
        self._soon.append(call)
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            pass  # the pipe is full of wakes already
        except OSError:
            logger.debug("call_after_close")

    def later(self, delay_s: float, call: Call) -> Timer:
        """Call it after so many seconds."""
        timer = Timer(time.monotonic() + delay_s, next(self._orders), call)
        heapq.heappush(self._timers, timer)
        return timer

    def watch(self, descriptor: int, call: Call) -> None:
        """Call it whenever the descriptor can be read."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def unwatch(self, descriptor: int) -> None:
        """No more, before the descriptor is closed."""
        self._selector.unregister(descriptor)

    def _close(self) -> None:
        self._closed = True

    def _woken(self) -> None:
        os.read(self._wake_read, 65_536)

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(self._until_next()):
                self._make(key.data)
            self._make_due()
            for _ in range(len(self._soon)):
                self._make(self._soon.popleft())
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _until_next(self) -> float | None:
        if self._soon:
            return 0
        return max(0.0, self._timers[0].at - time.monotonic()) if self._timers else None

    def _make_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].at <= now:
            if (call := heapq.heappop(self._timers).call) is not None:
                self._make(call)

    def _make(self, call: Call) -> None:
        try:
            call()
        except Exception:
            logger.exception("emulator_call_failed")
