"""What a model request costs, in micro-dollars, rounded up. The table comes with the program.

Prices differ by provider (Bedrock's regional models cost more) and have tiers by input size; both
are in the table of `genai_prices`, which is read offline.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import MICROS_PER_USD, ModelRoute, Provider

_CACHE_WRITE = Decimal("1.25")
"""Writing the provider's cache costs a quarter more than plain input: the dearest input there is,
since the gateway lets nobody ask for the cache that lasts an hour."""
_MTOK = 1_000_000
_TABLE_IDS = {
    Provider.ANTHROPIC: "anthropic",
    Provider.OPENAI: "openai",
    Provider.OPENAI_CHAT: "openai",
    Provider.BEDROCK: "bedrock",
}


class Usage(Protocol):
    """Tokens of one request. pydantic-ai's `RequestUsage` is one, and `Used`."""

    @property
    def input_tokens(self) -> int:
        """All of the input, the cached parts included."""
        ...

    @property
    def output_tokens(self) -> int:
        """All of the answer, thinking included."""
        ...

    @property
    def cache_write_tokens(self) -> int:
        """The part of the input that was written to the provider's cache."""
        ...

    @property
    def cache_read_tokens(self) -> int:
        """The part of the input that was read from it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Tokens of one request, see `Usage`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0


def check_known(route: ModelRoute) -> None:
    """Refuse a model whose price is not known: no limit on money would hold.

    Raises:
        ModelUnusable: nobody told its price, and the table does not know the model.
    """
    worst_micros(route, 1, 1)


def worst_micros(route: ModelRoute, input_tokens: int, output_tokens: int) -> int:
    """What a request with so many tokens costs at most: all of its input written to the cache.

    Raises:
        ModelUnusable: the price is unknown.
    """
    written = Used(
        input_tokens=input_tokens, cache_write_tokens=input_tokens, output_tokens=output_tokens
    )
    return actual_micros(route, written)


def actual_micros(route: ModelRoute, usage: Usage) -> int:
    """What a request cost that used these tokens.

    Raises:
        ModelUnusable: the price is unknown.
    """
    if (own := _own_prices(route)) is None:
        return _micros(_by_table(route, usage))
    per_input, per_output = own
    written = usage.cache_write_tokens
    sent = usage.input_tokens - written + _CACHE_WRITE * written  # reading may cost less: unknown
    return _micros((per_input * sent + per_output * usage.output_tokens) / _MTOK)


def _own_prices(route: ModelRoute) -> tuple[Decimal, Decimal] | None:
    """The person's own, dollars for a million tokens; None: he told none."""
    told = (route.input_usd_per_mtok, route.output_usd_per_mtok)
    match told:
        case (None, None):
            return None
        case (float() | int() as per_input, float() | int() as per_output):
            return Decimal(str(per_input)), Decimal(str(per_output))
        case _:
            raise ModelUnusable(
                f"Only one of the two prices of the model {route.model!r} is set.",
                hint="Set both input_usd_per_mtok and output_usd_per_mtok of it, or neither.",
            )


def _by_table(route: ModelRoute, usage: Usage) -> Decimal:
    try:
        from genai_prices import Usage as TableUsage  # a quarter of a second
        from genai_prices import calc_price
    except ImportError as exc:
        raise ModelUnusable(
            "The table of prices is not installed.", hint="pip install 'mcp-cloud-agents[fix]'"
        ) from exc
    used = TableUsage(
        input_tokens=usage.input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        output_tokens=usage.output_tokens,
    )
    if route.base_url:  # a provider of its own, or somebody's relay to one that the table knows
        with suppress(LookupError):
            return calc_price(used, route.model, provider_api_url=route.base_url).total_price
    try:
        found = calc_price(used, route.model, provider_id=_TABLE_IDS[route.provider])
    except LookupError as exc:
        raise ModelUnusable(
            f"The price of the model {route.model!r} ({route.provider}) is not known, so no limit "
            "on money would hold.",
            hint="Set input_usd_per_mtok and output_usd_per_mtok of this model in the settings, "
            "in dollars for a million tokens; 0 for a model that costs nothing.",
        ) from exc
    return found.total_price


def _micros(dollars: Decimal) -> int:
    return int((dollars * MICROS_PER_USD).to_integral_value(ROUND_CEILING))
