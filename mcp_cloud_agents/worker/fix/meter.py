"""What one candidate has spent, and what it may still: money is reserved before it is spent.

    reserve(worst case) ─ the request ─ settle(what it really used, or None: the worst case stays)

The file holds what is settled plus each open reservation in full, and is replaced before `reserve`
returns: whatever kills this process, money that may have been spent stands in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock

import msgspec

from mcp_cloud_agents.domain.fix import MICROS_PER_USD, Budget, Spent, StopReason
from mcp_cloud_agents.storage.files import read_whole, replace_quickly, storage_errors


class BudgetExhausted(Exception):
    """The next step could pass a limit, so it is not made.

    Attributes:
        reason: which limit.
        message: one sentence with the amounts.
    """

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money and tokens held back for one request."""

    number: int
    worst: Spent
    """Counted in full until it is settled."""


class Meter:
    """Counts against a budget; threads may share it.

    Never more than the budget is reserved and spent, as long as no request uses more than was
    reserved for it. One that does is counted in full, and nothing is reserved after it.

    Args:
        budget: what may be spent.
        path: of the file. What stands in it, from a process that ended before, counts as spent.

    Raises:
        msgspec.DecodeError: the file is damaged: nobody knows what was spent.
    """

    def __init__(self, budget: Budget, path: str) -> None:
        self._budget = budget
        self._path = path
        self._lock = Lock()
        self._open: dict[int, Spent] = {}
        self._numbers = 0
        before = read_whole(path)
        self._settled = Spent() if before is None else msgspec.json.decode(before, type=Spent)

    @property
    def spent(self) -> Spent:
        """What is spent, open reservations counted in full."""
        with self._lock:
            return self._total()

    @property
    def left_micros(self) -> int:
        """Micro-dollars that can still be reserved; never negative."""
        return max(0, self._budget.usd_micros - self.spent.usd_micros)

    def reserve(self, worst_micros: int, worst_tokens: int) -> Reservation:
        """Hold back what one request may cost at most.

        Args:
            worst_micros: micro-dollars.
            worst_tokens: input and output together; counted as input until they are settled.

        Raises:
            BudgetExhausted: it could pass the limit for money, tokens or requests.
            NoSpace: it cannot be written down, so nothing is reserved.
        """
        worst = Spent(
            usd_micros=max(0, worst_micros), input_tokens=max(0, worst_tokens), requests=1
        )
        with self._lock:
            self._check(self._total() + worst, worst)
            self._numbers += 1
            self._keep(self._total() + worst)
            self._open[self._numbers] = worst
            return Reservation(number=self._numbers, worst=worst)

    def settle(self, reservation: Reservation, spent: Spent | None) -> None:
        """Say what the request really used; only the first word about a reservation counts.

        Args:
            reservation: of the request.
            spent: its money and tokens (all zero: it never reached a model); None: nobody knows,
                so the worst case is what was spent.
        """
        with self._lock:
            worst = self._open.pop(reservation.number, None)
            if worst is None:
                return
            actual = worst if spent is None else replace(spent, requests=1, tool_calls=0)
            self._settled += actual
            self._keep(self._total())

    def tool_call(self) -> None:
        """Count one call of a tool.

        Raises:
            BudgetExhausted: it would be one too many.
        """
        with self._lock:
            if self._settled.tool_calls >= self._budget.tool_calls:
                raise BudgetExhausted(
                    StopReason.TOOL_CALLS,
                    f"All {self._budget.tool_calls} calls of tools are used.",
                )
            self._settled += Spent(tool_calls=1)
            self._keep(self._total())

    def _total(self) -> Spent:
        return sum(self._open.values(), self._settled)

    def _check(self, would_be: Spent, worst: Spent) -> None:
        budget = self._budget
        tokens = would_be.input_tokens + would_be.output_tokens
        if would_be.requests > budget.requests:
            raise BudgetExhausted(
                StopReason.REQUESTS, f"All {budget.requests} requests to a model are used."
            )
        if tokens > budget.tokens:
            raise BudgetExhausted(
                StopReason.TOKENS,
                f"The next request may use {worst.input_tokens:,} tokens, and "
                f"{tokens - worst.input_tokens:,} of {budget.tokens:,} are used.",
            )
        if would_be.usd_micros > budget.usd_micros:
            raise BudgetExhausted(
                StopReason.USD,
                f"The next request may cost {_dollars(worst.usd_micros)}, and "
                f"{_dollars(would_be.usd_micros - worst.usd_micros)} of "
                f"{_dollars(budget.usd_micros)} is spent.",
            )

    def _keep(self, total: Spent) -> None:
        with storage_errors(self._path):
            replace_quickly(self._path, msgspec.json.encode(total))


def _dollars(micros: int) -> str:
    return f"${micros / MICROS_PER_USD:.4f}"
