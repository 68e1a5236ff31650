"""One model with a deadline for each request, left alone for a while when it keeps failing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelTimeoutError,
    UserError,
)
from pydantic_ai.models.wrapper import WrapperModel

from mcp_cloud_agents.resilience.breaker import told
from mcp_cloud_agents.worker.fix.model_breakers import TIMEOUT_WEIGHT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings

    from mcp_cloud_agents.domain.fix import ModelRoute
    from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers


def passing(error: BaseException) -> bool:
    """Whether another model may do better: the provider failed, not our request or our key."""
    return isinstance(error, ModelAPIError) and not isinstance(error, ModelRequestRejectedError)


class Unstreamed(WrapperModel):
    """A wrapper whose rules hold for whole answers, so that no other way leads around them."""

    @asynccontextmanager
    async def request_stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamedResponse]:
        """Refuse: nothing here streams, and what would is not counted."""
        raise UserError("streamed requests are not metered")
        yield  # pragma: no cover  makes it a generator


class Guarded(Unstreamed):
    """A model that answers in time or fails, and is not asked while its breaker is open.

    Args:
        wrapped: the model.
        route: which one it is.
        breakers: count for it.
        timeout_s: seconds for one request.
    """

    def __init__(
        self, wrapped: Model, route: ModelRoute, breakers: ModelBreakers, *, timeout_s: float
    ) -> None:
        super().__init__(wrapped)
        self._route = route
        self._breakers = breakers
        self._breaker = breakers.of(route)
        self._timeout_s = timeout_s

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model, or fail at once while its breaker is open."""
        if (left := await told(partial(self._breakers.refusal, self._route))) is not None:
            raise ModelAPIError(self.model_name, f"it was left alone: {left.told}")
        try:
            response = await self._in_time(messages, model_settings, model_request_parameters)
        except ModelAPIError as exc:
            await told(partial(self._count, exc))
            raise
        except BaseException:
            await told(self._breaker.unknown)
            raise
        await told(self._breaker.succeeded)
        return response

    def _count(self, error: ModelAPIError) -> None:
        """A request that was refused for what it asked is an answer all the same."""
        if not passing(error) and not isinstance(error, ModelAuthenticationError):
            self._breaker.succeeded()
            return
        late = isinstance(error, ModelTimeoutError | ModelRequestTimeout)
        self._breaker.failed(_kind(error), weight=TIMEOUT_WEIGHT if late else 1)

    async def _in_time(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        with anyio.move_on_after(self._timeout_s):
            return await self.wrapped.request(messages, settings, parameters)
        raise ModelRequestTimeout(self.model_name, self._timeout_s)


def _kind(error: ModelAPIError) -> str:
    """What happened, without the provider's own words."""
    match error:
        case ModelHTTPError():
            return f"HTTP {error.status_code}"
        case ModelTimeoutError() | ModelRequestTimeout():
            return "no answer in time"
        case ModelConnectionError():
            return "no connection"
        case _:
            return type(error).__name__
