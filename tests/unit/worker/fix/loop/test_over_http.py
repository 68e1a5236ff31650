"""The engine against a real HTTP server, in three formats: answers, errors, fallback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import Budget, ModelRoute, Provider, StopReason
from mcp_cloud_agents.worker.fix.engine import Ended
from mcp_cloud_agents.worker.fix.engines.model import ModelEngine
from mcp_cloud_agents.worker.fix.loop.run import fix, reach_by_keys
from tests.fix_bench import MEND, SUBMIT, ToyBench
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server
from tests.unit.worker.fix.loop.conftest import MakeBench

KEY = "sk-ant-canary-0123456789abcdefghij"
FORMATS = (Provider.ANTHROPIC, Provider.OPENAI, Provider.OPENAI_CHAT)
GOOD = (
    Turn(calls=(("run_tests", {}),)),
    Turn(calls=(MEND,)),
    Turn(calls=(SUBMIT,)),
)


@pytest.fixture(autouse=True)
def no_real_model() -> None:
    """Requests go to loopback."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as serving:
        yield serving


def route(server: ModelServer, name: str, *turns: Turn, **changes: Any) -> ModelRoute:
    """A route to a script."""
    base = server.add(name, Script(turns=turns))
    whole = ModelRoute(
        provider=Provider.ANTHROPIC,
        model=f"model-{name}",
        base_url=base,
        key="env:KEY",
        input_usd_per_mtok=1.0,
        output_usd_per_mtok=2.0,
    )
    made = replace(whole, **changes)
    if made.provider is not Provider.ANTHROPIC:
        made = replace(made, base_url=f"{base}/v1")
    return made


def play(toy: ToyBench) -> Ended:
    """Run the engine itself."""
    return ModelEngine(keys={"env:KEY": KEY}.__getitem__, meter=toy.meter)(toy.bench())


def quickly(toy: ToyBench, request_s: float = 60) -> Ended:
    """The same with less patience."""
    bench = toy.bench()
    terms = toy.terms(bench, reach_by_keys({"env:KEY": KEY}), request_s=request_s)
    return fix(bench, terms, toy.redactor)


@pytest.mark.parametrize("provider", FORMATS)
def test_each_format_mends_and_is_counted_to_the_token(
    toy: MakeBench, server: ModelServer, provider: Provider
) -> None:
    here = toy(routes=(route(server, "good", *GOOD, provider=provider),), secrets=(KEY,))
    ended = play(here)
    assert ended == Ended(reason=StopReason.SUBMITTED, message="add subtracted", model="model-good")
    spent = here.meter.spent
    assert (spent.requests, spent.input_tokens, spent.output_tokens) == (3, 3_000, 300)
    assert spent.usd_micros == 3_000 + 600
    assert {one.key for one in server.seen("good")} == {KEY}
    assert not any(one.streamed for one in server.seen("good"))
    assert KEY not in (here.folder / "transcript.jsonl").read_text()


def test_anthropic_is_asked_to_cache_and_openai_not_to_store(
    toy: MakeBench, server: ModelServer
) -> None:
    play(toy(routes=(route(server, "a", *GOOD),)))
    assert "cache_control" in server.seen("a")[0].text
    play(toy(routes=(route(server, "o", *GOOD, provider=Provider.OPENAI),)))
    assert server.seen("o")[0].body["store"] is False


ERRORS: Mapping[int, str] = {
    400: "rejected",
    401: "rejected",
    403: "rejected",
    404: "rejected",
    402: "passing",
    429: "passing",
    500: "passing",
    503: "passing",
    529: "passing",
}
AGAIN = (429, 503, 529)
"""What a second try may help against."""


@pytest.mark.parametrize(
    ("provider", "status"),
    [
        *((Provider.ANTHROPIC, status) for status in ERRORS),
        *((provider, status) for provider in FORMATS[1:] for status in (400, 401, 429, 503)),
    ],
)
def test_an_error_names_model_and_status_and_costs_nothing(
    toy: MakeBench, server: ModelServer, provider: Provider, status: int
) -> None:
    broken = Turn(status=status, message=f"no, {KEY}")
    here = toy(routes=(route(server, "bad", broken, provider=provider),), secrets=(KEY,))
    ended = quickly(here)
    assert ended.reason is StopReason.MODEL_FAILED
    assert ended.model == "model-bad"
    assert f"model-bad: HTTP {status}" in ended.message
    assert len(server.seen("bad")) == (2 if status in AGAIN else 1)
    assert here.meter.spent.usd_micros == 0
    assert KEY not in ended.message + (here.folder / "transcript.jsonl").read_text()


@pytest.mark.parametrize("status", AGAIN)
def test_a_model_that_was_overloaded_for_a_moment_is_asked_again(
    toy: MakeBench, server: ModelServer, status: int
) -> None:
    busy = Turn(status=status, retry_after="0")
    ended = play(toy(routes=(route(server, "busy", GOOD[0], busy, *GOOD[1:]),)))
    assert ended.reason is StopReason.SUBMITTED
    assert len(server.seen("busy")) == 4


def test_a_model_that_wants_a_long_pause_failed(toy: MakeBench, server: ModelServer) -> None:
    busy = Turn(status=429, retry_after="3600")
    ended = play(toy(routes=(route(server, "busy", busy, *GOOD),)))
    assert ended.reason is StopReason.MODEL_FAILED
    assert len(server.seen("busy")) == 1


@pytest.mark.parametrize("status", ERRORS)
def test_the_next_model_is_asked_only_when_the_provider_failed(
    toy: MakeBench, server: ModelServer, status: int
) -> None:
    first = route(server, "first", Turn(status=status))
    second = route(server, "second", *GOOD, provider=Provider.OPENAI_CHAT)
    ended = play(toy(routes=(first, second)))
    if ERRORS[status] == "passing":
        assert ended == Ended(
            reason=StopReason.SUBMITTED, message="add subtracted", model="model-second"
        )
    else:
        assert ended.reason is StopReason.MODEL_FAILED
        assert server.seen("second") == []


def test_when_every_model_fails_each_is_named(toy: MakeBench, server: ModelServer) -> None:
    routes = (
        route(server, "one", Turn(status=529)),
        route(server, "two", Turn(status=503), provider=Provider.OPENAI),
    )
    ended = quickly(toy(routes=routes))
    assert ended.reason is StopReason.MODEL_FAILED
    assert "model-one: HTTP 529" in ended.message
    assert "model-two: HTTP 503" in ended.message


def test_a_model_that_hangs_is_given_up_and_paid_at_its_worst(
    toy: MakeBench, server: ModelServer
) -> None:
    here = toy(routes=(route(server, "slow", Turn(delay=60)),))
    ended = quickly(here, 0.5)
    assert ended.reason is StopReason.MODEL_FAILED
    assert "model-slow" in ended.message
    assert here.meter.spent.usd_micros > 10_000


def test_the_clock_ends_a_run_that_waits_for_its_model(toy: MakeBench, server: ModelServer) -> None:
    here = toy(routes=(route(server, "slow", Turn(delay=60)),), budget=Budget(wall_s=1))
    ended = play(here)
    assert ended.reason is StopReason.WALL_CLOCK
    assert here.meter.spent.usd_micros > 10_000


@pytest.mark.slow
def test_another_model_answers_for_one_that_hangs(toy: MakeBench, server: ModelServer) -> None:
    slow = route(server, "slow", Turn(delay=60))
    ended = quickly(toy(routes=(slow, route(server, "good", *GOOD))), 2)
    assert ended.model == "model-good"


def test_nobody_at_the_address_is_told_and_costs_nothing(
    toy: MakeBench, server: ModelServer
) -> None:
    gone = replace(route(server, "x"), base_url="http://127.0.0.1:9")
    here = toy(routes=(gone,))
    ended = play(here)
    assert ended.reason is StopReason.MODEL_FAILED
    assert "model-x" in ended.message
    assert here.meter.spent.usd_micros == 0


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize(
    "turn",
    [
        Turn(raw="this is no JSON"),
        Turn(raw="{}"),
        Turn(raw='{"content": 3, "choices": 4, "output": 5}'),
        Turn(drop="at_once"),
    ],
    ids=["no json", "empty", "wrong types", "dropped"],
)
def test_an_answer_nobody_understands_ends_the_attempt_and_not_the_process(
    toy: MakeBench, server: ModelServer, provider: Provider, turn: Turn
) -> None:
    ended = play(toy(routes=(route(server, "odd", turn, provider=provider),)))
    assert ended.reason in (StopReason.MODEL_FAILED, StopReason.REFUSED)
    assert ended.message


@pytest.mark.parametrize("provider", [Provider.ANTHROPIC, Provider.OPENAI_CHAT])
def test_a_refusal_is_a_refusal(toy: MakeBench, server: ModelServer, provider: Provider) -> None:
    refusal = Turn(stop="refusal")
    ended = play(toy(routes=(route(server, "no", refusal, provider=provider),)))
    assert ended.reason is StopReason.REFUSED


def test_an_answer_that_was_cut_off_inside_a_call_does_not_end_the_process(
    toy: MakeBench, server: ModelServer
) -> None:
    cut = Turn(calls=(("write_file", '{"path": "calc.py", "content": "def a'),), stop="length")
    ended = play(toy(routes=(route(server, "cut", cut, *GOOD, provider=Provider.OPENAI_CHAT),)))
    assert ended.reason in (StopReason.SUBMITTED, StopReason.REFUSED)


@pytest.mark.parametrize("provider", FORMATS)
def test_half_a_character_in_a_call_does_not_spoil_the_history(
    toy: MakeBench, server: ModelServer, provider: Provider
) -> None:
    odd = Turn(text="\ud800", calls=(("run_command", {"command": "echo \ud800"}),))
    ended = play(toy(routes=(route(server, "odd", odd, *GOOD, provider=provider),)))
    assert ended.reason is StopReason.SUBMITTED


def test_a_server_that_counts_nothing_is_paid_at_its_worst(
    toy: MakeBench, server: ModelServer
) -> None:
    turns = [replace_turn(turn) for turn in GOOD]
    here = toy(routes=(route(server, "free", *turns, provider=Provider.OPENAI_CHAT),))
    assert play(here).reason is StopReason.SUBMITTED
    assert here.meter.spent.usd_micros > 3 * 4_000


def replace_turn(turn: Turn) -> Turn:
    return Turn(calls=turn.calls, no_usage=True)


def test_the_money_limit_holds_over_http(toy: MakeBench, server: ModelServer) -> None:
    dear = Turn(calls=(("run_command", {"command": "date +%N"}),), usage=(9_000, 4_000))
    budget = Budget(usd_micros=60_000)
    here = toy(routes=(route(server, "dear", dear),), budget=budget)
    assert play(here).reason is StopReason.USD
    assert here.meter.spent.usd_micros <= 60_000


def test_a_route_without_key_or_price_is_refused_before_anything_is_sent(
    toy: MakeBench, server: ModelServer
) -> None:
    keyless = replace(route(server, "k"), base_url="", key="")
    with pytest.raises(ModelUnusable, match="has no key"):
        play(toy(routes=(keyless,)))
    priceless = replace(route(server, "p"), input_usd_per_mtok=None, output_usd_per_mtok=None)
    with pytest.raises(ModelUnusable, match="price"):
        play(toy(routes=(priceless,)))
    assert server.requests == []
