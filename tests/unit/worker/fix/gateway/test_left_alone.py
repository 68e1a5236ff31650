"""The gateway before a model that keeps failing: it is left alone, and the client is told so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.circuit import Circuit
from mcp_cloud_agents.domain.fix import Spent
from mcp_cloud_agents.worker.fix.model_breakers import MODEL_POLICY, ModelBreakers
from tests.gateway_client import ROUTES, a_request, gateway_to, route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server

NOW = 1_700_000_000.0
GOOD = Turn(text="hi", usage=(1_000, 100))
TOLD = "left alone: it is tried again at 2023-11-14 22:13:50 UTC; it failed by: "
ANSWERS = {
    "/v1/messages": (529, "overloaded_error", None),
    "/v1/responses": (503, "service_unavailable_error", "server_is_overloaded"),
    "/v1/chat/completions": (503, "service_unavailable_error", "server_is_overloaded"),
}


class Wall:
    """A clock that the test moves."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.mark.parametrize("path", ROUTES)
def test_a_model_that_kept_failing_is_answered_for_as_overloaded_at_once(
    models: ModelServer, tmp_path: Path, path: str
) -> None:
    route = route_to(models.add("bad", Script(turns=(Turn(status=500),))), path)
    breakers = ModelBreakers(str(tmp_path / "breakers"), Wall())
    with gateway_to(route, folder=tmp_path, breakers=breakers) as desk:
        failed = [desk.post(path, a_request(path)).status for _ in range(MODEL_POLICY.failures)]
        reply = desk.post(path, a_request(path))
        failing = desk.forwarding.failed
    status, kind, code = ANSWERS[path]
    assert set(failed) == {500}
    error = reply.json["error"]
    assert (reply.status, error["type"], error.get("code")) == (status, kind, code)
    assert error["message"] == f"{route.model}: it was {TOLD}HTTP 500."
    assert failing == error["message"].removesuffix(".")
    assert len(models.seen("bad")) == MODEL_POLICY.failures
    assert desk.meter.spent.usd_micros == 0
    assert breakers.notes == (f"The model {route.model} was {TOLD}HTTP 500.",)


def test_the_next_model_answers_for_one_that_is_left_alone_until_it_is_tried(
    models: ModelServer, tmp_path: Path
) -> None:
    wall, path = Wall(), "/v1/chat/completions"
    first = route_to(models.add("first", Script(turns=(GOOD,))), path)
    dear = {"model": "other", "input_usd_per_mtok": 1.25, "output_usd_per_mtok": 10.0}
    second = route_to(models.add("second", Script(turns=(GOOD,))), path, **dear)
    breakers = ModelBreakers("", wall)
    breakers.of(first).failed("HTTP 503", weight=MODEL_POLICY.failures)
    with gateway_to(first, second, folder=tmp_path, breakers=breakers) as desk:
        assert desk.post(path, a_request(path)).status == 200
        assert (len(models.seen("first")), len(models.seen("second"))) == (0, 1)
        wall.now += MODEL_POLICY.first_pause_s
        assert desk.post(path, a_request(path)).status == 200
    assert (len(models.seen("first")), len(models.seen("second"))) == (1, 1)
    assert breakers.of(first).circuit is Circuit.CLOSED
    used = Spent(usd_micros=4_500, input_tokens=2_000, output_tokens=200, requests=3)
    assert desk.meter.spent == used


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        (Turn(status=401), "HTTP 401"),
        (Turn(status=429), "HTTP 429"),
        (Turn(text="hi", drop="at_once"), "remote protocol error"),
        (Turn(text="hi", drop="half_way"), "its answer broke off"),
    ],
)
def test_each_failure_counts_once_by_what_it_was(
    models: ModelServer, tmp_path: Path, turn: Turn, why: str
) -> None:
    path = "/v1/messages"
    route = route_to(models.add("bad", Script(turns=(turn,))), path)
    breakers = ModelBreakers("", Wall())
    with gateway_to(route, folder=tmp_path, breakers=breakers) as desk:
        desk.post(path, a_request(path, stream=True))
    record = breakers.of(route)._store.read()
    assert (record.failures, record.why) == (1, why)


def test_a_question_that_is_refused_is_an_answer(models: ModelServer, tmp_path: Path) -> None:
    path = "/v1/messages"
    route = route_to(models.add("bad", Script(turns=(Turn(status=400),))), path)
    breakers = ModelBreakers("", Wall())
    breakers.of(route).failed("HTTP 500")
    with gateway_to(route, folder=tmp_path, breakers=breakers) as desk:
        assert desk.post(path, a_request(path)).status == 400
    assert breakers.of(route)._store.read().failures == 0
