"""Models that keep failing are left alone by every job of this machine, and the result says so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from pydantic_ai.exceptions import ModelRequestRejectedError
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import ModelRequestParameters

from mcp_cloud_agents.domain.circuit import at_text
from mcp_cloud_agents.domain.fix import ModelRoute, Provider, StopReason
from mcp_cloud_agents.storage.circuit_file import circuits_in
from mcp_cloud_agents.worker.fix.engine import Ended
from mcp_cloud_agents.worker.fix.loop.chain import chain
from mcp_cloud_agents.worker.fix.loop.run import fix, reach_by_keys
from mcp_cloud_agents.worker.fix.model_breakers import MODEL_POLICY, ModelBreakers, breaker_name
from tests.model_server.script import Turn
from tests.model_server.server import ModelServer, model_server
from tests.unit.worker.fix.loop.conftest import MakeBench
from tests.unit.worker.fix.loop.test_over_http import GOOD, KEY, route

NOW = 1_700_000_000.0
UNTIL = at_text(NOW + MODEL_POLICY.first_pause_s)


@pytest.fixture(autouse=True)
def no_real_model() -> None:
    """Requests go to loopback."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as serving:
        yield serving


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "breakers")


def play(
    toy: MakeBench, folder: str, *routes: ModelRoute, now: float = NOW, request_s: float = 60
) -> Ended:
    """One candidate of a job; each has breakers of its own over the same folder."""
    here = toy(routes=routes, secrets=(KEY,))
    bench = here.bench()
    terms = here.terms(
        bench,
        reach_by_keys({"env:KEY": KEY}),
        request_s=request_s,
        breakers=ModelBreakers(folder, lambda: now),
    )
    return fix(bench, terms, here.redactor)


def asks(
    toy: MakeBench, folder: str, *routes: ModelRoute, now: float = NOW
) -> tuple[str, tuple[str, ...]]:
    """One request by a process of its own: who answered, and its notes."""
    here = toy(routes=routes, secrets=(KEY,))
    breakers = ModelBreakers(folder, lambda: now)
    reach = reach_by_keys({"env:KEY": KEY})
    model = chain(routes, here.terms(here.bench(), reach, breakers=breakers))
    words: list[ModelMessage] = [ModelRequest.user_text_prompt("hello")]

    async def one() -> str:
        async with model:
            answer = await model.request(words, None, ModelRequestParameters())
        return answer.model_name or ""

    return anyio.run(one), breakers.notes


def test_a_model_that_fails_is_skipped_by_later_jobs_until_its_pause_is_over(
    toy: MakeBench, server: ModelServer, folder: str
) -> None:
    first = route(server, "first", Turn(status=500, message=KEY))
    second = route(server, "second", *(Turn(text="hi"),) * 3)
    failures, pause_s = MODEL_POLICY.failures, MODEL_POLICY.first_pause_s
    ModelBreakers(folder, lambda: NOW).of(first).failed("HTTP 503", weight=failures - 1)
    assert asks(toy, folder, first, second) == ("model-second", ())
    said = f"The model model-first was left alone: it is tried again at {UNTIL}; it failed by: "
    assert asks(toy, folder, first, second) == ("model-second", (f"{said}HTTP 500.",))
    assert len(server.seen("first")) == 1
    (kept,) = circuits_in(folder)
    assert (kept.name, kept.record.failures) == (breaker_name(first), failures)
    assert asks(toy, folder, first, second, now=NOW + pause_s) == ("model-second", ())
    assert len(server.seen("first")) == 2


def test_a_model_that_answers_again_is_asked_as_before(
    toy: MakeBench, server: ModelServer, folder: str
) -> None:
    breaker = ModelBreakers(folder, lambda: NOW).of(good := route(server, "good", *GOOD))
    breaker.failed("HTTP 529", weight=MODEL_POLICY.failures)
    ended = play(toy, folder, good)
    assert ended.reason is StopReason.MODEL_FAILED
    assert f"was left alone: it is tried again at {UNTIL}" in ended.message
    assert server.seen("good") == []
    ended = play(toy, folder, good, now=NOW + MODEL_POLICY.first_pause_s)
    assert (ended.reason, ended.notes) == (StopReason.SUBMITTED, ())
    assert breaker.refusal() is None


def test_what_a_model_refuses_as_a_bad_question_opens_nothing(
    toy: MakeBench, server: ModelServer, folder: str
) -> None:
    bad = route(server, "bad", Turn(status=400))
    for _ in range(MODEL_POLICY.failures + 1):
        with pytest.raises(ModelRequestRejectedError):
            asks(toy, folder, bad)
    assert len(server.seen("bad")) == MODEL_POLICY.failures + 1
    assert circuits_in(folder) == ()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_counts_and_no_word_of_the_provider_is_kept(
    toy: MakeBench, server: ModelServer, folder: str, status: int
) -> None:
    play(toy, folder, route(server, "bad", Turn(status=status, message=f"no, {KEY}")))
    (kept,) = circuits_in(folder)
    assert (kept.record.failures, kept.record.why) == (1, f"HTTP {status}")


def test_a_closed_port_and_a_silent_model_count_as_what_they_are(
    toy: MakeBench, server: ModelServer, folder: str
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        closed = ModelRoute(
            provider=Provider.ANTHROPIC,
            model="m",
            base_url=f"http://127.0.0.1:{held.getsockname()[1]}",
            input_usd_per_mtok=1.0,
            output_usd_per_mtok=2.0,
        )
        play(toy, folder, closed)
    play(toy, folder, route(server, "silent", Turn(delay=30)), request_s=0.2)
    found = {one.record.why: one.record.failures for one in circuits_in(folder)}
    assert found == {"no connection": 1, "no answer in time": 3}


def test_the_name_of_a_breaker_holds_the_host_and_no_password() -> None:
    mine = ModelRoute(
        provider=Provider.OPENAI_CHAT, model="m", base_url="https://u:pw@h.example/v1"
    )
    assert breaker_name(mine) == "model openai-chat m at h.example"
    assert breaker_name(ModelRoute(provider=Provider.BEDROCK, model="b")) == "model bedrock b"
