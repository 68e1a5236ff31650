"""One model with a deadline for each request, left alone for a while when it keeps failing."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    UserError,
)
from pydantic_ai.models.wrapper import WrapperModel

from mcp_cloud_agents.resilience.breaker import Breaker, BreakerPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings

POLICY = BreakerPolicy(failures=2, first_pause_s=30.0)


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
    """A model that answers in time or fails, and is not asked for a while after it failed twice.

    Args:
        wrapped: the model.
        timeout_s: seconds for one request.
        breaker: counts for this model.
    """

    def __init__(self, wrapped: Model, *, timeout_s: float, breaker: Breaker | None = None) -> None:
        super().__init__(wrapped)
        self._timeout_s = timeout_s
        self._breaker = breaker or Breaker(POLICY, time.monotonic)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model, or fail at once while its breaker is open."""
        if (why := self._breaker.refusal()) is not None:
            raise ModelAPIError(self.model_name, f"left alone for a while, it failed twice: {why}")
        try:
            response = await self._in_time(messages, model_settings, model_request_parameters)
        except ModelAPIError as exc:
            if passing(exc):
                self._breaker.failed(str(exc)[:200])
            else:
                self._breaker.succeeded()
            raise
        except BaseException:
            self._breaker.unknown()
            raise
        self._breaker.succeeded()
        return response

    async def _in_time(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        with anyio.move_on_after(self._timeout_s):
            return await self.wrapped.request(messages, settings, parameters)
        raise ModelRequestTimeout(self.model_name, self._timeout_s)
