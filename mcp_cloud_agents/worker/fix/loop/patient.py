"""A second try after a pause, when whoever could answer is only overloaded just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from pydantic_ai.exceptions import (
    FallbackExceptionGroup,
    ModelAPIError,
    ModelRateLimitError,
    ModelUnavailableError,
)

from mcp_cloud_agents.worker.fix.loop.guarded import Unstreamed

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

PAUSE_S = 2.0
"""Seconds, where the provider names no time."""
LONGEST_PAUSE_S = 30.0
"""A provider that wants more is a failure now."""


class Patient(Unstreamed):
    """Asks once more after a rate limit or an overload; each try is metered by what is wrapped.

    Args:
        wrapped: one model, or several that stand in for each other.
        pause_s: seconds to wait, where the provider names no time.
    """

    def __init__(self, wrapped: Model, *, pause_s: float = PAUSE_S) -> None:
        super().__init__(wrapped)
        self._pause_s = pause_s

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask, and once more if that can help."""
        try:
            return await self.wrapped.request(messages, model_settings, model_request_parameters)
        except (ModelAPIError, FallbackExceptionGroup) as exc:
            pause_s = _pause(exc, self._pause_s)
            if pause_s is None:
                raise
        await anyio.sleep(pause_s)
        return await self.wrapped.request(messages, model_settings, model_request_parameters)


def _pause(error: Exception, usual_s: float) -> float | None:
    """Seconds after which one of those that failed may answer; None: that is not to be expected."""
    if isinstance(error, FallbackExceptionGroup):
        pauses = [_pause(one, usual_s) for one in error.exceptions]
        return min((pause for pause in pauses if pause is not None), default=None)
    if not isinstance(error, ModelRateLimitError | ModelUnavailableError):
        return None
    pause_s = usual_s if error.retry_after is None else error.retry_after
    return pause_s if pause_s <= LONGEST_PAUSE_S else None
