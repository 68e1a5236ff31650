"""One model whose requests are paid before they are sent.

worst case of this request ─ reserve ─ send ─ settle with what it used
                                │               └ unknown (cut off, no usage told): worst case
                                └ over the budget: never sent
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    UserError,
)
from pydantic_ai_harness.compaction import estimate_context_tokens

from mcp_cloud_agents.domain.fix import Spent
from mcp_cloud_agents.worker.fix.loop.guarded import Unstreamed
from mcp_cloud_agents.worker.fix.prices import actual_micros, worst_micros

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

    from mcp_cloud_agents.domain.fix import ModelRoute
    from mcp_cloud_agents.worker.fix.engine import Transcript
    from mcp_cloud_agents.worker.fix.meter import Meter

_BASE_TOKENS = 4_000
"""Instructions and tools, which the estimate does not see in a first request."""
_MARGIN = 1.3
"""The estimate counts four characters a token; code has fewer."""
_NOT_SENT = frozenset({"pool", "connect"})


class Metered(Unstreamed):
    """A model that asks the meter first.

    Args:
        wrapped: the model.
        route: says what it costs.
        meter: of the candidate.
        transcript: gets a `cost` for each request, a `note` for each failure.
        output_tokens: the most that one answer may have.
    """

    def __init__(
        self,
        wrapped: Model,
        *,
        route: ModelRoute,
        meter: Meter,
        transcript: Transcript,
        output_tokens: int,
    ) -> None:
        super().__init__(wrapped)
        self._route = route
        self._meter = meter
        self._transcript = transcript
        self._output_tokens = output_tokens

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model.

        Raises:
            BudgetExhausted: the worst case could pass a limit; nothing was sent.
        """
        estimate = estimate_context_tokens(
            messages, model_request_parameters=model_request_parameters
        )
        sent = _BASE_TOKENS + int(_MARGIN * estimate)
        worst = worst_micros(self._route, sent, self._output_tokens)
        reservation = self._meter.reserve(worst, sent + self._output_tokens)
        spent: Spent | None = None
        try:
            response = await self._answer(messages, model_settings, model_request_parameters)
            spent = self._used(response)
        except ModelAPIError as exc:
            spent = Spent() if _unpaid(exc) else None
            self._transcript.write("note", text=f"{self._route.model} failed: {exc}")
            raise
        finally:
            self._meter.settle(reservation, spent)
            self._told(reservation.worst if spent is None else spent, known=spent is not None)
        return response

    async def _answer(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelResponse:
        try:
            return await self.wrapped.request(messages, settings, parameters)
        except (AgentRunError, UserError):
            raise
        except Exception as exc:  # clients raise anything over an answer of another shape
            said = f"its answer could not be read ({type(exc).__name__}: {str(exc)[:200]})"
            raise ModelAPIError(self._route.model, said) from exc

    def _used(self, response: ModelResponse) -> Spent | None:
        usage = response.usage
        if not usage.input_tokens and not usage.output_tokens:
            return None
        return Spent(
            usd_micros=actual_micros(self._route, usage),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )

    def _told(self, spent: Spent, *, known: bool) -> None:
        total = self._meter.spent
        self._transcript.write(
            "cost",
            model=self._route.model,
            known=known,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            usd_micros=spent.usd_micros,
            total_usd_micros=total.usd_micros,
            total_tokens=total.input_tokens + total.output_tokens,
            requests=total.requests,
        )


def _unpaid(error: ModelAPIError) -> bool:
    """Whether the provider surely asks nothing for it: an error for an answer, or never sent."""
    if isinstance(error, ModelConnectionError):
        return error.phase in _NOT_SENT
    return isinstance(error, ModelHTTPError) and not error.in_stream
