"""Money that is held back before it is spent. The contract is in `tests/contracts/test_ledger.py`.

cap = room + spent + open      for every scope, at every moment, whoever died in between
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class ScopeKind(StrEnum):
    """What a limit is for, the narrowest first."""

    JOB = "job"
    SESSION = "session"
    WORKSPACE = "workspace"
    DAY = "day"
    MONTH = "month"
    TEAM = "team"
    TEAM_OFFLINE = "team offline"
    """A day of this machine while the team's ledger cannot be reached."""


MOST_MICROS = 10**15
"""A billion dollars: a sum above it is a mistake of the program, and would overflow in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One limit's period or subject: `day` `2026-11-21`, `workspace` `2026-11 /home/me/a`."""

    kind: ScopeKind
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A scope and the most that may be spent in it."""

    scope: Scope
    cap_micros: int

    def __post_init__(self) -> None:
        """Raises ValueError: the sum makes no sense."""
        checked_micros(self.cap_micros)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What `costs` groups by."""

    agent: str
    backend: str
    workspace: str
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What shall be held back for one job."""

    token: str
    """The job's id: the same token is the same reservation."""
    amount_micros: int
    limits: tuple[Limit, ...]
    at: float
    """Seconds since the epoch."""
    expires_at: float
    """From when on a job that nobody knows of gives its money back."""
    tags: Tags

    def __post_init__(self) -> None:
        """Raises ValueError: the sum makes no sense, or a scope would be counted twice."""
        checked_micros(self.amount_micros)
        if not self.token or len({one.scope for one in self.limits}) < len(self.limits):
            raise ValueError(f"an order needs a token, and each scope once: {self}")


class ReservationState(StrEnum):
    """Where a reservation is."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is stored of an order."""

    order: Order
    state: ReservationState
    actual_micros: int = 0
    """Once it is settled."""
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A scope now."""

    limit: Limit
    room_micros: int
    """May be negative after the limit was lowered."""
    spent_micros: int
    open_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """All of it is held back."""

    already: bool = False
    """An earlier call did it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLimit:
    """A limit would be passed: nothing was held back."""

    balance: Balance
    """Of the scope that refused; of several the narrowest."""
    needed_micros: int
    """What all orders together ask of it."""


def checked_micros(micros: int) -> int:
    """A sum that can be one. Raises ValueError: negative, absurd, or no whole number."""
    if type(micros) is not int or not 0 <= micros <= MOST_MICROS:
        raise ValueError(f"no sum of micro-dollars: {micros!r}")
    return micros


class Ledger(Protocol):
    """Blocks; any thread and process may call at any time. Every change is atomic and durable.

    All methods raise LedgerUnusable: nothing was changed, or calling again with the same token
    tells what was.
    """

    def reserve(self, orders: Sequence[Order]) -> Reserved | OverLimit:
        """Hold back the money of all orders, or of none (that is how a fan-out is reserved).

        A scope that is new gets the cap of its limit. Of one that is known, the lower one of the
        stored cap and the given one decides; `set_cap` alone changes what is stored. An order
        whose token is OPEN or SETTLED is not reserved again; a RELEASED one is.

        Raises:
            ValueError: two orders have the same token.
            InvalidArgument: these are more than the ledger takes at once; nothing is held back.
        """
        ...

    def settle(self, token: str, actual_micros: int | None, *, at: float) -> Reservation | None:
        """Say what a job did cost, once: later words change nothing.

        One that was released holds nothing, and its cost is counted all the same: it did run.

        Args:
            token: of the reservation.
            actual_micros: what it did cost, which may be more than was reserved; None: nobody
                knows, so the whole reservation counts as spent.
            at: seconds since the epoch.

        Returns:
            The reservation as it is now; None: there is none.

        Raises:
            ValueError: the sum makes no sense.
        """
        ...

    def release(self, token: str, *, at: float) -> Reservation | None:
        """Give the money of a job back that never started. Does nothing to one that is settled."""
        ...

    def set_cap(self, limit: Limit) -> Balance:
        """Store another cap for a scope; what is spent and open stays."""
        ...

    def get(self, token: str) -> Reservation | None:
        """One reservation."""
        ...

    def open(self) -> tuple[Reservation, ...]:
        """All that are neither settled nor released, oldest first."""
        ...

    def balances(self, scopes: Sequence[Scope]) -> tuple[Balance, ...]:
        """Those scopes that are known, in the order asked for."""
        ...

    def ended(self, *, since: float, until: float) -> tuple[Reservation, ...]:
        """Settled reservations by the time of their end, oldest first."""
        ...

    def past_micros(self, tags: Tags, *, limit: int) -> tuple[int, ...]:
        """What the newest settled jobs with exactly these tags did cost."""
        ...

    def latest_at(self) -> float | None:
        """The highest `at` that money was ever reserved with; None: none ever was.

        A clock that was moved back is told by it.
        """
        ...
