"""One request on its way: held against the rules, paid for beforehand, sent, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.errors import NoSpace
from mcp_cloud_agents.domain.fix import ModelRoute, Provider, Spent
from mcp_cloud_agents.worker.fix.gateway.refusal import Refusal, overloaded
from mcp_cloud_agents.worker.fix.gateway.upstream import Answer, Overloaded, Unreachable
from mcp_cloud_agents.worker.fix.gateway.usage import UsageReader
from mcp_cloud_agents.worker.fix.gateway.wire import Asked, asked
from mcp_cloud_agents.worker.fix.gateway.worst_case import InputBound
from mcp_cloud_agents.worker.fix.meter import BudgetExhausted, Meter, Reservation
from mcp_cloud_agents.worker.fix.prices import Used, actual_micros, worst_micros

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

_PASSING = frozenset({402, 408, 409, 429, 500, 502, 503, 504, 529})
"""Errors that another route may not have."""
_OK, _ELSEWHERE, _ERRORS = 200, 300, 400


class Way(Protocol):
    """The way to providers; `upstream.Upstream` is one."""

    def sent(
        self, route: ModelRoute, body: bytes, betas: str
    ) -> AbstractContextManager[Answer, bool | None]:
        """See `Upstream`."""
        ...

    def close(self) -> None:
        """See `Upstream`."""
        ...


class Client(Protocol):
    """Who gets the answer. One that has gone away is told nothing, and stops nothing."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the answer."""
        ...

    def piece(self, data: bytes) -> None:
        """A part of its body."""
        ...

    def end(self) -> None:
        """The body is whole. Never said of one that broke off."""
        ...


@dataclass(kw_only=True)
class Forwarding:
    """Forwards requests of one job. Threads may share it."""

    routes: tuple[ModelRoute, ...]
    """The first one is asked, the next of the same format when it fails."""
    upstream: Way
    meter: Meter
    most_output: int
    """Tokens of one answer."""
    stopped: BudgetExhausted | None = None
    """The first refusal for want of budget."""
    failed: str = ""
    """How the last request failed that no route could answer; empty: the last one was answered."""
    _bound: InputBound = field(default_factory=InputBound)
    _lock: Lock = field(default_factory=Lock)

    def forward(self, provider: Provider, body: bytes, betas: str, client: Client) -> None:
        """Forward one request, and its answer to the client.

        Raises:
            Refusal: it was not forwarded, or no route could answer it.
        """
        request = asked(provider, body, self.most_output)
        routes = [route for route in self.routes if route.provider is provider]
        if not routes or request.model != routes[0].model:
            raise Refusal(403, f"This job may not ask the model {request.model[:80]!r}.")
        for route in routes:
            last = route is routes[-1]
            if self._tried(route, request, betas, client, last=last):
                return

    def _tried(
        self, route: ModelRoute, request: Asked, betas: str, client: Client, *, last: bool
    ) -> bool:
        """Whether this route's answer is the client's."""
        held = self._reserve(route, request)
        spent: Spent | None = None  # until somebody knows better: the worst case
        whole = True
        try:
            with self.upstream.sent(route, request.body(route.model), betas) as answer:
                if answer.status == _OK:
                    spent, whole = self._passed_on(answer, route, request, client)
                else:
                    if answer.status >= _ELSEWHERE:  # providers do not charge for an error
                        spent = Spent()
                    self.failed = f"{route.model} answered with status {answer.status}"
                    if answer.status in _PASSING and not last:
                        return False
                    self._pass_error(answer, client)
        except Unreachable as exc:
            spent = spent if exc.sent else Spent()
            self.failed = f"{route.model}: {exc}"
            if not last:
                return False
            if isinstance(exc, Overloaded):
                raise overloaded(route.provider, f"{route.model}: {exc}.") from exc
            raise Refusal(502, f"The model cannot be reached: {exc}.") from exc
        finally:
            self.meter.settle(held, spent)
        if whole:  # only now: the client's next request finds this one settled
            client.end()
        return True

    def _reserve(self, route: ModelRoute, request: Asked) -> Reservation:
        sent = self._bound.most(request, route.model)
        worst = worst_micros(route, sent, request.output_tokens)
        try:
            return self.meter.reserve(worst, sent + request.output_tokens)
        except BudgetExhausted as exc:
            with self._lock:
                self.stopped = self.stopped or exc
            raise Refusal(402, f"The budget of this job is used up. {exc.message}") from exc
        except NoSpace as exc:  # what is not written down is not spent
            raise Refusal(402, f"The budget of this job cannot be counted. {exc.message}") from exc

    def _passed_on(
        self, answer: Answer, route: ModelRoute, request: Asked, client: Client
    ) -> tuple[Spent | None, bool]:
        """Stream the answer through.

        Returns:
            What it used, None when it broke off before saying so; whether it is whole.
        """
        reader = UsageReader(request.provider, stream=request.stream)
        failed = ""
        client.begin(answer.status, answer.headers())
        try:
            for piece in answer.pieces():
                reader.feed(piece)
                client.piece(piece)
            reader.end()
        except Unreachable as exc:
            failed = f"{route.model}: {exc}"
        else:
            failed = "" if reader.whole else f"{route.model}: its answer broke off"
        self.failed = failed
        used = None if failed else reader.used  # counts before the end may grow
        return self._counted(used, route, request), not failed

    def _counted(self, used: Used | None, route: ModelRoute, request: Asked) -> Spent | None:
        if used is None:
            return None
        self._bound.learn(request, route.model, used.input_tokens)
        return Spent(
            usd_micros=actual_micros(route, used),
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
        )

    @staticmethod
    def _pass_error(answer: Answer, client: Client) -> None:
        if answer.status < _ERRORS:
            raise Refusal(502, "The provider answered with something else than an answer.")
        body = answer.error()
        client.begin(answer.status, answer.headers())
        client.piece(body)
