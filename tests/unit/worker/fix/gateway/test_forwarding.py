"""The gateway before a model: what passes, what is counted, what is refused."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from mcp_cloud_agents.domain.fix import Budget, Provider, Spent, StopReason
from mcp_cloud_agents.worker.fix.gateway.wire import asked
from tests.cloud_worker import eventually
from tests.gateway_client import KEY, ROUTES, a_request, gateway_to, route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server

PATHS = list(ROUTES)
MESSAGES = "/v1/messages"
COST = {"/v1/messages": 3_000 + 1_500, "/v1/responses": 2_250, "/v1/chat/completions": 2_250}
"""Micro-dollars of 1,000 tokens in and 100 out."""


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server({"good": Script(turns=(Turn(text="hi", usage=(1_000, 100)),))}) as server:
        yield server


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_passes_through_and_costs_what_it_used(
    models: ModelServer, tmp_path: Path, path: str, stream: bool
) -> None:
    route = route_to(f"{models.url}/good", path)
    with gateway_to(route, folder=tmp_path) as desk:
        reply = desk.post(path, a_request(path, stream=stream))
    assert (reply.status, reply.whole) == (200, True), reply
    assert reply.body
    (request,) = models.seen("good")
    assert (request.key, request.body["model"]) == (KEY, ROUTES[path][1])
    used = Spent(usd_micros=COST[path], input_tokens=1_000, output_tokens=100, requests=1)
    assert desk.meter.spent == used
    assert KEY.encode() not in reply.body


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_breaks_off_before_its_usage_costs_its_worst_case(
    models: ModelServer, tmp_path: Path, path: str
) -> None:
    models.add("cut", Script(turns=(Turn(text="hi", drop="half_way"),)))
    with gateway_to(route_to(f"{models.url}/cut", path), folder=tmp_path, output=500) as desk:
        reply = desk.post(path, a_request(path, stream=True))
    assert (reply.status, reply.whole) == (200, False)
    assert desk.meter.spent.usd_micros > COST[path]
    assert desk.meter.spent.input_tokens > 2_500
    assert desk.forwarding.failed


def test_an_answer_without_usage_costs_its_worst_case(models: ModelServer, tmp_path: Path) -> None:
    models.add("mute", Script(turns=(Turn(text="hi", no_usage=True),)))
    path = "/v1/chat/completions"
    with gateway_to(route_to(f"{models.url}/mute", path), folder=tmp_path, output=500) as desk:
        assert desk.post(path, a_request(path)).status == 200
    assert desk.meter.spent.usd_micros > 2_000 * 1.25 + 500 * 10


@pytest.mark.parametrize(
    ("path", "asked", "sent"),
    [
        ("/v1/messages", {"max_tokens": 128_000}, {"max_tokens": 700}),
        ("/v1/messages", {"max_tokens": 5}, {"max_tokens": 5}),
        ("/v1/messages", {}, {"max_tokens": 700}),
        ("/v1/responses", {}, {"max_output_tokens": 700, "store": False}),
        ("/v1/responses", {"max_output_tokens": -1, "store": True}, {"max_output_tokens": 700}),
        ("/v1/chat/completions", {}, {"max_tokens": 700}),
        (
            "/v1/chat/completions",
            {"max_completion_tokens": 9_000, "stream": True},
            {"max_completion_tokens": 700, "stream_options": {"include_usage": True}},
        ),
    ],
)
def test_no_answer_may_be_longer_than_what_was_paid_for(
    models: ModelServer, tmp_path: Path, path: str, asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    with gateway_to(route_to(f"{models.url}/good", path), folder=tmp_path, output=700) as desk:
        assert desk.post(path, a_request(path, **asked)).status == 200
    (request,) = models.seen("good")
    assert {name: request.body[name] for name in sent} == sent


def test_fields_that_cost_more_or_reach_the_network_are_left_out(
    models: ModelServer, tmp_path: Path
) -> None:
    hosted = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "mcp_toolset"}]
    own = {"name": "Bash", "input_schema": {"type": "object"}}
    body = a_request(
        MESSAGES,
        tools=[*hosted, own],
        mcp_servers=[{"type": "url", "url": "https://example.com"}],
        container={"skills": []},
        service_tier="priority",
        speed="fast",
        system=[{"type": "text", "text": "s", "cache_control": {"type": "x", "ttl": "1h"}}],
    )
    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path) as desk:
        assert desk.post(MESSAGES, body).status == 200
    (request,) = models.seen("good")
    assert sorted(request.body) == ["max_tokens", "messages", "model", "stream", "system", "tools"]
    assert request.body["tools"] == [own]
    assert request.body["system"][0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/responses", {"previous_response_id": "resp_1"}),
        ("/v1/responses", {"input": [{"type": "item_reference", "id": "x"}]}),
        (
            "/v1/responses",
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "https://example.com"}],
                    }
                ]
            },
        ),
        (
            "/v1/messages",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "content": [
                                    {
                                        "type": "image",
                                        "source": {"type": "url", "url": "https://example.com"},
                                    }
                                ],
                            }
                        ],
                    }
                ]
            },
        ),
        ("/v1/messages", {"messages": [{"role": "user", "content": [{"type": "document"}]}]}),
        ("/v1/messages", {"messages": "hello"}),
        ("/v1/messages", {"system": [{"type": "image", "source": {"type": "file"}}]}),
    ],
)
def test_a_conversation_that_would_make_the_provider_fetch_something_is_refused(
    models: ModelServer, tmp_path: Path, path: str, fields: dict[str, Any]
) -> None:
    with gateway_to(route_to(f"{models.url}/good", path), folder=tmp_path) as desk:
        assert desk.post(path, a_request(path, **fields)).status == 400
    assert models.requests == []
    assert desk.meter.spent == Spent()


@pytest.mark.parametrize("levels", [150, 5_000, 200_000])
def test_a_body_that_is_nested_too_deeply_is_refused(
    models: ModelServer, tmp_path: Path, levels: int
) -> None:
    whole = json.dumps(a_request(MESSAGES, tools=[{"name": "t", "input_schema": "DEEP"}]))
    body = whole.replace('"DEEP"', "[" * levels + "]" * levels).encode()
    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path) as desk:
        assert desk.post(MESSAGES, body).status == 400
    assert models.requests == []


def test_thinking_is_made_smaller_than_the_answer(models: ModelServer, tmp_path: Path) -> None:
    thinking = {"type": "enabled", "budget_tokens": 31_999}
    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path, output=4_000) as desk:
        desk.post(MESSAGES, a_request(MESSAGES, thinking=thinking))
    assert models.seen("good")[0].body["thinking"]["budget_tokens"] == 2_000


@pytest.mark.parametrize("path", PATHS)
def test_a_budget_that_is_out_is_said_with_402_and_nothing_is_sent(
    models: ModelServer, tmp_path: Path, path: str
) -> None:
    route = route_to(f"{models.url}/good", path)
    with gateway_to(route, folder=tmp_path, budget=Budget(usd_micros=100)) as desk:
        reply = desk.post(path, a_request(path))
    assert reply.status == 402
    assert reply.json["error"]["type"] in ("billing_error", "insufficient_quota")
    assert desk.forwarding.stopped is not None
    assert desk.forwarding.stopped.reason is StopReason.USD
    assert models.requests == []


def with_mark(turn: dict[str, Any]) -> dict[str, Any]:
    """As Claude Code marks the end of what the provider shall keep in its cache."""
    block = {"type": "text", "text": turn["content"], "cache_control": {"type": "ephemeral"}}
    return {**turn, "content": [block]}


def test_a_long_conversation_is_not_counted_anew_each_time(
    models: ModelServer, tmp_path: Path
) -> None:
    """Its beginning has a price by now: with bytes alone this budget would not last."""
    models.add("long", Script(turns=(Turn(text="hi", usage=(10_000, 10)),)))
    turns: list[dict[str, Any]] = [{"role": "user", "content": "x" * 100_000}]
    budget = Budget(usd_micros=450_000)
    with gateway_to(
        route_to(f"{models.url}/long"), folder=tmp_path, budget=budget, output=100
    ) as desk:
        for _ in range(5):
            marked = [*turns[:-1], with_mark(turns[-1])]
            assert desk.post(MESSAGES, a_request(MESSAGES, messages=marked)).status == 200
            turns += [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "on"}]
        other = [{"role": "user", "content": "y" * 100_000}]
        assert desk.post(MESSAGES, a_request(MESSAGES, messages=other)).status == 402
    assert desk.meter.spent.usd_micros == 5 * (30_000 + 150)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ({"cache_control": "x"}, {"cache_control": "x" * 50_000}),
        ({"cache_control": "x" * 50_000}, {"cache_control": "q7" * 25_000}),
        (
            {"a": [{"content": "x"}] * 2_000},
            {"a": [{"content": [{"type": "text", "text": "x"}]}] * 2_000},
        ),
    ],
    ids=["a mark that is a text", "another text of the same length", "texts as lists of blocks"],
)
def test_attack_input_that_looks_like_what_was_counted_before(
    models: ModelServer, tmp_path: Path, small: dict[str, Any], large: dict[str, Any]
) -> None:
    budget = Budget(usd_micros=1_000_000, tokens=90_000)

    def turns(given: dict[str, Any]) -> list[dict[str, Any]]:
        call = {"type": "tool_use", "id": "1", "name": "x", "input": given}
        return [{"role": "user", "content": "x"}, {"role": "assistant", "content": [call]}]

    with gateway_to(
        route_to(f"{models.url}/good"), folder=tmp_path, budget=budget, output=100
    ) as desk:
        assert desk.post(MESSAGES, a_request(MESSAGES, messages=turns(small))).status == 200
        bound = desk.forwarding._bound
        request = asked(
            Provider.ANTHROPIC, json.dumps(a_request(MESSAGES, messages=turns(large))).encode(), 100
        )
        longer = len(json.dumps(large)) - len(json.dumps(small)) or 50_000
        assert bound.most(request, ROUTES[MESSAGES][1]) >= 0.8 * longer


def test_requests_that_race_for_the_last_money_never_overshoot(
    models: ModelServer, tmp_path: Path
) -> None:
    budget, asked = Budget(usd_micros=100_000, requests=1_000), 24
    start, replies = Barrier(asked), list[int]()
    with gateway_to(
        route_to(f"{models.url}/good"), folder=tmp_path, budget=budget, output=2_000
    ) as desk:

        def ask() -> None:
            start.wait(30)
            replies.append(desk.post(MESSAGES, a_request(MESSAGES)).status)

        threads = [Thread(target=ask) for _ in range(asked)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert set(replies) == {200, 402}
    answered = len(models.requests)
    assert desk.meter.spent.usd_micros == answered * COST[MESSAGES] <= budget.usd_micros
    assert replies.count(200) == answered


def test_the_next_route_answers_when_the_first_one_fails(
    models: ModelServer, tmp_path: Path
) -> None:
    models.add("busy", Script(turns=(Turn(status=529),)))
    models.add("away", Script(turns=(Turn(drop="at_once"),)))
    routes = [
        route_to(f"{models.url}/busy"),
        route_to("http://127.0.0.1:9"),  # nobody is there
        route_to(f"{models.url}/good", model="claude-haiku-4-5"),
    ]
    with gateway_to(*routes, folder=tmp_path) as desk:
        assert desk.post(MESSAGES, a_request(MESSAGES)).status == 200
    assert models.seen("good")[0].body["model"] == "claude-haiku-4-5"
    assert desk.meter.spent.usd_micros == 1_500
    assert desk.meter.spent.requests == 3


def test_a_provider_that_hangs_up_without_an_answer_may_have_charged(
    models: ModelServer, tmp_path: Path
) -> None:
    models.add("away", Script(turns=(Turn(drop="at_once"),)))
    with gateway_to(route_to(f"{models.url}/away"), folder=tmp_path) as desk:
        reply = desk.post(MESSAGES, a_request(MESSAGES))
    assert reply.status == 502
    assert desk.meter.spent.usd_micros > 100_000


@pytest.mark.parametrize(("status", "passed"), [(400, 400), (429, 429), (500, 500), (529, 529)])
def test_an_error_of_the_provider_passes_and_costs_nothing(
    models: ModelServer, tmp_path: Path, status: int, passed: int
) -> None:
    models.add("bad", Script(turns=(Turn(status=status, message=f"no {KEY}", retry_after="7"),)))
    with gateway_to(route_to(f"{models.url}/bad"), folder=tmp_path) as desk:
        reply = desk.post(MESSAGES, a_request(MESSAGES))
    assert (reply.status, reply.headers.get("retry-after")) == (passed, "7")
    assert KEY.encode() not in reply.body
    assert sorted(reply.headers) == [
        "connection",
        "content-type",
        "retry-after",
        "transfer-encoding",
    ]
    assert desk.meter.spent == Spent(requests=1)


@pytest.mark.parametrize("status", [401, 403])
def test_what_a_provider_says_of_a_wrong_key_is_not_passed_on(
    models: ModelServer, tmp_path: Path, status: int
) -> None:
    models.add("bad", Script(turns=(Turn(status=status, message=f"wrong key {KEY[:9]}***"),)))
    with gateway_to(route_to(f"{models.url}/bad"), folder=tmp_path) as desk:
        reply = desk.post(MESSAGES, a_request(MESSAGES))
    assert reply.status == 403
    assert KEY[:9].encode() not in reply.body
    assert desk.meter.spent == Spent(requests=1)


def test_a_redirect_is_no_answer_and_is_not_followed(models: ModelServer, tmp_path: Path) -> None:
    models.add("moved", Script(turns=(Turn(status=307, raw="elsewhere"),)))
    with gateway_to(route_to(f"{models.url}/moved"), folder=tmp_path) as desk:
        assert desk.post(MESSAGES, a_request(MESSAGES)).status == 502
    assert len(models.requests) == 1


def test_a_client_that_leaves_does_not_hide_what_its_answer_cost(
    models: ModelServer, tmp_path: Path
) -> None:
    models.add("late", Script(turns=(Turn(text="hi", delay=0.3),)))
    with gateway_to(route_to(f"{models.url}/late"), folder=tmp_path) as desk:
        body = json.dumps(a_request(MESSAGES, stream=True)).encode()
        head = (
            f"POST /v1/messages HTTP/1.1\r\nx-api-key: {desk.gateway.token}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )

        with socket.socket(socket.AF_UNIX) as client:
            client.connect(desk.gateway.path)
            client.sendall(head.encode() + body)
        reply = desk.post(MESSAGES, a_request(MESSAGES))
        assert reply.status == 200
        assert eventually(lambda: desk.meter.spent.usd_micros == 2 * COST[MESSAGES])


def test_betas_pass_when_they_are_plain_words(models: ModelServer, tmp_path: Path) -> None:
    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path) as desk:
        for betas in ("interleaved-thinking-2025-05-14,effort-1", "a b\tc"):
            assert desk.post(MESSAGES, a_request(MESSAGES), anthropic_beta=betas).status == 200


def test_counts_of_a_stream_that_breaks_off_do_not_cap_what_it_cost(
    models: ModelServer, tmp_path: Path
) -> None:
    told = 'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}\n\n'
    models.add("cut", Script(turns=(Turn(raw=told),)))
    path = "/v1/chat/completions"
    with gateway_to(route_to(f"{models.url}/cut", path), folder=tmp_path, output=500) as desk:
        reply = desk.post(path, a_request(path, stream=True))
    assert (reply.status, reply.whole) == (200, False)
    assert desk.meter.spent.usd_micros > COST[path]


def test_attack_a_body_of_very_many_small_parts(models: ModelServer, tmp_path: Path) -> None:
    head = json.dumps(a_request(MESSAGES)).encode()[:-1]
    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path) as desk:
        reply = desk.post(MESSAGES, head + b', "tools": [' + b"[]," * 1_000_000 + b"[]]}")
    assert (reply.status, models.requests) == (413, [])


def test_attack_a_kind_that_is_no_text(models: ModelServer, tmp_path: Path) -> None:
    no_kind: list[str] = []
    turn = {"role": "user", "content": [{"type": no_kind, "text": "x"}]}
    tool = {"type": no_kind, "name": "x"}
    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path) as desk:
        assert desk.post(MESSAGES, a_request(MESSAGES, messages=[turn])).status == 400
        assert desk.post(MESSAGES, a_request(MESSAGES, tools=[tool])).status == 200
    assert "tools" not in models.seen("good")[0].body


def test_a_full_disk_ends_the_job_and_sends_nothing(
    models: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_from: str, _to: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with gateway_to(route_to(f"{models.url}/good"), folder=tmp_path) as desk:
        monkeypatch.setattr(os, "rename", full)
        reply = desk.post(MESSAGES, a_request(MESSAGES))
    assert (reply.status, models.requests) == (402, [])


@pytest.mark.timeout(20)
def test_attack_slow_answers_in_every_place_do_not_keep_the_gateway_from_closing(
    models: ModelServer, tmp_path: Path
) -> None:
    models.add("slow", Script(turns=(Turn(text="hi", delay=60.0),)))
    body = json.dumps(a_request(MESSAGES)).encode()
    with (
        ExitStack() as clients,
        gateway_to(route_to(f"{models.url}/slow"), folder=tmp_path, output=100) as desk,
    ):
        head = f"POST /v1/messages HTTP/1.1\r\nx-api-key: {desk.gateway.token}\r\n"
        for _ in range(12):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(desk.gateway.path)
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        deadline = time.monotonic() + 10
        while desk.meter.spent.requests < 8 and time.monotonic() < deadline:
            Event().wait(0.01)
        assert desk.meter.spent.requests == 8
