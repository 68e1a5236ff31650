"""Work of another process that is killed before or after one of its writes."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

KILLED = 99
_WRITES = frozenset(
    {"claim", "forget", "reserve", "settle", "release", "set_cap", "append", "ask", "answer"}
    | {"grant", "use_grant", "submit", "cancel", "cancel_many"}
)
Reached = Callable[[int, str], bool]
"""Whether to die there: the number of the step, from 0, and its name."""


@dataclass
class Steps:
    """Every write of the ports it wraps is two steps: `ledger.reserve before`, … `after`."""

    reached: Reached
    done: list[str] = field(default_factory=list[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wrap(self, name: str, port: Any) -> Any:
        """The same port, watched."""
        return _Watched(name, port, self)

    def step(self, name: str) -> None:
        """Here the process may end, as by SIGKILL."""
        with self._lock:
            if self.reached(len(self.done), name):
                os._exit(KILLED)
            self.done.append(name)


class _Watched:
    def __init__(self, name: str, port: Any, steps: Steps) -> None:
        self._name, self._port, self._steps = name, port, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in _WRITES:
            return found
        what = f"{self._name}.{name}"

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._steps.step(f"{what} before")
            result = found(*args, **kwargs)
            self._steps.step(f"{what} after")
            return result

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            self._steps.step(f"{what} before")
            result = await found(*args, **kwargs)
            self._steps.step(f"{what} after")
            return result

        return awaited if inspect.iscoroutinefunction(found) else watched


def killed(work: Callable[[Steps], Awaitable[object]], reached: Reached) -> bool:
    """Do the work in a process of its own; whether it was killed on the way.

    Raises:
        AssertionError: it failed; its traceback is on stderr.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            anyio.run(work, Steps(reached))
            code = 0
        except BaseException:  # noqa: BLE001  nothing of the parent's may go on here
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED), code
    return code == KILLED
