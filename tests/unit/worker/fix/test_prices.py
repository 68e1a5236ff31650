"""What a request costs: from the table, or as the person says; never a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import ModelRoute, Provider
from mcp_cloud_agents.worker.fix.prices import Used, actual_micros, check_known, worst_micros

SONNET = ModelRoute(provider=Provider.ANTHROPIC, model="claude-sonnet-4-5")
GPT = ModelRoute(provider=Provider.OPENAI, model="gpt-5")
REGIONAL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BEDROCK = ModelRoute(provider=Provider.BEDROCK, model=REGIONAL)
OWN = ModelRoute(
    provider=Provider.OPENAI_CHAT,
    model="house-model",
    input_usd_per_mtok=2.0,
    output_usd_per_mtok=10.0,
)


@pytest.mark.parametrize(
    ("route", "micros"),
    [(SONNET, 3_750 + 15_000), (BEDROCK, 4_125 + 16_500), (GPT, 1_250 + 10_000), (OWN, 12_500)],
)
def test_the_worst_case_writes_all_of_its_input_to_the_cache(
    route: ModelRoute, micros: int
) -> None:
    assert worst_micros(route, 1_000, 1_000) == micros


def test_a_large_input_costs_what_its_tier_costs() -> None:
    assert worst_micros(SONNET, 300_000, 8_000) == 2_430_000


@pytest.mark.parametrize(
    ("route", "micros"),
    [(SONNET, 300 + 375 + 30 + 1_500), (OWN, 200 + 250 + 200 + 1_000)],
)
def test_an_answer_costs_what_its_parts_cost(route: ModelRoute, micros: int) -> None:
    usage = Used(input_tokens=300, cache_write_tokens=100, cache_read_tokens=100, output_tokens=100)
    assert actual_micros(route, usage) == micros


def test_a_part_of_a_micro_dollar_is_a_whole_one() -> None:
    assert worst_micros(GPT, 1, 0) == 2
    assert actual_micros(GPT, Used(input_tokens=1, output_tokens=0)) == 2


@given(
    sent=st.integers(0, 400_000),
    written=st.integers(0, 100),
    read=st.integers(0, 100),
    got=st.integers(0, 10_000),
    route=st.sampled_from([SONNET, BEDROCK, GPT, OWN]),
)
def test_no_request_costs_more_than_its_worst_case(
    sent: int, written: int, read: int, got: int, route: ModelRoute
) -> None:
    cached = sent * written // 100
    usage = Used(
        input_tokens=sent,
        cache_write_tokens=cached if route is not GPT else 0,
        cache_read_tokens=(sent - cached) * read // 100,
        output_tokens=got,
    )
    assert actual_micros(route, usage) <= worst_micros(route, sent, got)


@pytest.mark.parametrize("base_url", ["", "http://127.0.0.1:9/v1"])
def test_a_model_without_a_price_is_refused_with_the_way_out(base_url: str) -> None:
    route = ModelRoute(provider=Provider.OPENAI_CHAT, model="house-model", base_url=base_url)
    with pytest.raises(ModelUnusable, match="'house-model'") as refused:
        check_known(route)
    assert "input_usd_per_mtok" in refused.value.hint


def test_a_known_model_behind_another_address_costs_the_same() -> None:
    relayed = ModelRoute(
        provider=Provider.ANTHROPIC, model="claude-sonnet-4-5", base_url="http://127.0.0.1:9"
    )
    assert worst_micros(relayed, 1_000, 0) == worst_micros(SONNET, 1_000, 0)


def test_one_price_of_two_is_a_mistake_that_is_told() -> None:
    half = ModelRoute(provider=Provider.OPENAI, model="gpt-5", input_usd_per_mtok=1.0)
    with pytest.raises(ModelUnusable, match="Only one"):
        check_known(half)


def test_a_model_that_costs_nothing_is_known() -> None:
    free = ModelRoute(
        provider=Provider.OPENAI_CHAT, model="x", input_usd_per_mtok=0.0, output_usd_per_mtok=0.0
    )
    check_known(free)
    assert worst_micros(free, 1_000_000, 1_000_000) == 0
