"""The way to a provider, closed for a while when it keeps failing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mcp_cloud_agents.worker.fix.gateway.upstream import Overloaded, Unreachable
from mcp_cloud_agents.worker.fix.model_breakers import TIMEOUT_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Generator

    from mcp_cloud_agents.domain.fix import ModelRoute
    from mcp_cloud_agents.resilience.breaker import Breaker
    from mcp_cloud_agents.worker.fix.gateway.upstream import Answer, Upstream
    from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers

_FAILED = frozenset({401, 402, 403, 408, 429})
"""Besides all from 500 on. Other errors are about what was asked, and answers all the same."""
_SERVER_ERRORS = 500


class GuardedUpstream:
    """`forwarding.Way` that asks no model whose breaker is open.

    Args:
        upstream: asks the others.
        breakers: count for the models.
    """

    def __init__(self, upstream: Upstream, breakers: ModelBreakers) -> None:
        self._upstream = upstream
        self._breakers = breakers

    def close(self) -> None:
        """See `Upstream`."""
        self._upstream.close()

    @contextmanager
    def sent(self, route: ModelRoute, body: bytes, betas: str) -> Generator[Answer]:
        """See `Upstream`.

        Raises:
            Overloaded: the model is left alone; nothing was sent.
            Unreachable: no answer came.
        """
        if (left := self._breakers.refusal(route)) is not None:
            raise Overloaded(f"it was left alone: {left.told}")
        breaker = self._breakers.of(route)
        with ExitStack() as stack:
            with _counted(breaker):
                answer = stack.enter_context(self._upstream.sent(route, body, betas))
            try:
                yield answer
            finally:
                _count(answer, breaker)


@contextmanager
def _counted(breaker: Breaker) -> Generator[None]:
    """Count an answer that does not begin."""
    try:
        yield
    except Unreachable as exc:
        breaker.failed(str(exc), weight=TIMEOUT_WEIGHT if exc.late else 1)
        raise
    except BaseException:
        breaker.unknown()
        raise


def _count(answer: Answer, breaker: Breaker) -> None:
    """How a request ended whose answer began."""
    if answer.status in _FAILED or answer.status >= _SERVER_ERRORS:
        breaker.failed(f"HTTP {answer.status}")
    elif answer.broken:
        breaker.failed("its answer broke off")
    else:
        breaker.succeeded()
