"""The models of an order as one: each metered and guarded, the next one asked when one fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import ModelRoute
from mcp_cloud_agents.worker.fix.engine import Transcript
from mcp_cloud_agents.worker.fix.loop.guarded import Guarded, passing
from mcp_cloud_agents.worker.fix.loop.metered import Metered
from mcp_cloud_agents.worker.fix.loop.patient import PAUSE_S, Patient
from mcp_cloud_agents.worker.fix.meter import Meter
from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers
from mcp_cloud_agents.worker.fix.prices import check_known

if TYPE_CHECKING:
    from collections.abc import Sequence


REQUEST_S = 120.0
"""Seconds that one request may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every request is subject to."""

    meter: Meter
    transcript: Transcript
    output_tokens: int
    """Of one answer."""
    reach: Callable[[ModelRoute], Model]
    """The client of a route; see `models.connect`."""
    request_s: float = REQUEST_S
    pause_s: float = PAUSE_S
    """Before a second try, where the provider names no time."""
    breakers: ModelBreakers = field(default_factory=ModelBreakers)


def chain(routes: Sequence[ModelRoute], terms: Terms) -> Model:
    """One model out of all routes.

    Raises:
        ModelUnusable: there is none, a price or a key is unknown; nothing was sent.
    """
    if not routes:
        raise ModelUnusable(
            "No model is set.", hint="Set fix.models in the settings, or use the engine `command`."
        )
    for route in routes:
        check_known(route)
    models = [_one(route, terms) for route in routes]
    together = models[0] if len(models) == 1 else FallbackModel(*models, fallback_on=passing)
    return Patient(together, pause_s=terms.pause_s)


def _one(route: ModelRoute, terms: Terms) -> Model:
    metered = Metered(
        terms.reach(route),
        route=route,
        meter=terms.meter,
        transcript=terms.transcript,
        output_tokens=terms.output_tokens,
    )
    return Guarded(metered, route, terms.breakers, timeout_s=terms.request_s)
