"""A ledger whose calls fail on demand: before they do anything, or after they did it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_cloud_agents.domain.errors import LedgerUnusable
from mcp_cloud_agents.storage.dynamo_table import AnswerLost
from mcp_cloud_agents.storage.team_ledger import LocalLedger

CHANGES = frozenset({"reserve", "replace", "settle", "release", "set_cap"})


class Died(BaseException):
    """The process was killed here."""


def unreachable() -> LedgerUnusable:
    return LedgerUnusable("The team cannot be reached.", hint="Wait.")


def lost() -> LedgerUnusable:
    return AnswerLost("The answer was lost.", hint="Wait.")


@dataclass(slots=True)
class Trouble:
    """What happens to which of the next changes, over all ledgers that share it."""

    at: int = -1
    """0: the next one."""
    after: bool = False
    """The change is done first."""
    raises: Callable[[], BaseException] = Died
    always: bool = False
    calls: list[str] = field(default_factory=list[str])

    @contextmanager
    def over(self, call: str) -> Generator[None]:
        self.calls.append(call)
        meets = self.at == 0 or (self.always and self.at <= 0)
        self.at -= 1
        if meets and not self.after:
            raise self.raises()
        yield
        if meets:
            raise self.raises()


class _Unreliable:
    def __init__(self, inner: object, trouble: Trouble, name: str) -> None:
        self._inner = inner
        self._trouble = trouble
        self._name = name

    def __getattr__(self, call: str) -> Any:
        method = getattr(self._inner, call)

        def called(*given: Any, **more: Any) -> Any:
            if call not in CHANGES:
                return method(*given, **more)
            with self._trouble.over(f"{self._name}.{call}"):
                return method(*given, **more)

        return called


def unreliable(inner: object, trouble: Trouble, name: str) -> LocalLedger:
    """The same ledger, with trouble."""
    return cast("LocalLedger", _Unreliable(inner, trouble, name))
