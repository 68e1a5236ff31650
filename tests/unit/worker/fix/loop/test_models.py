"""From a route to a client: addresses, keys, one request each; Bedrock by botocore's stub."""

from __future__ import annotations

import os
import sys
from typing import Any, cast

import pytest
from botocore.stub import Stubber
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.function import FunctionModel

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import ModelRoute, Provider, StopReason
from mcp_cloud_agents.worker.fix.loop.guarded import Guarded
from mcp_cloud_agents.worker.fix.loop.models import connect
from mcp_cloud_agents.worker.fix.loop.run import fix
from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers
from tests.fix_bench import SUBMIT, Script
from tests.unit.worker.fix.loop.conftest import MakeBench


@pytest.fixture(autouse=True)
def no_real_model() -> None:
    """Bedrock's answers come from botocore's own stub."""


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        (Provider.ANTHROPIC, "https://api.anthropic.com"),
        (Provider.OPENAI, "https://api.openai.com/v1"),
        (Provider.OPENAI_CHAT, "https://api.openai.com/v1"),
    ],
)
def test_no_variable_of_the_environment_sends_a_key_elsewhere(
    provider: Provider, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "http://elsewhere.invalid")
    model = connect(ModelRoute(provider=provider, model="m"), "key", timeout_s=5)
    assert str(model.base_url).rstrip("/") == url
    mine = ModelRoute(provider=provider, model="m", base_url="http://127.0.0.1:1/x")
    assert str(connect(mine, "", timeout_s=5).base_url).startswith("http://127.0.0.1:1/x")


@pytest.mark.parametrize("provider", [Provider.ANTHROPIC, Provider.OPENAI, Provider.OPENAI_CHAT])
def test_a_key_is_wanted_where_no_server_of_ones_own_is(provider: Provider) -> None:
    with pytest.raises(ModelUnusable, match="has no key"):
        connect(ModelRoute(provider=provider, model="m"), "", timeout_s=5)
    with pytest.raises(ModelUnusable, match="no name"):
        connect(ModelRoute(provider=provider, model=""), "key", timeout_s=5)


@pytest.mark.parametrize("provider", Provider)
def test_a_client_that_is_not_installed_is_told_as_the_missing_extra(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("anthropic", "openai", "bedrock"):
        monkeypatch.setitem(sys.modules, f"pydantic_ai.models.{name}", None)
    with pytest.raises(ModelUnusable, match="needs the extra `fix`"):
        connect(ModelRoute(provider=provider, model="m"), "key", timeout_s=5)


@pytest.mark.anyio
async def test_a_streamed_request_is_refused_since_nothing_meters_it() -> None:
    scripted = FunctionModel(Script([]).answer)
    model = Guarded(scripted, BEDROCK, ModelBreakers(), timeout_s=5)
    with pytest.raises(UserError, match="not metered"):
        async with model.request_stream([], None, ModelRequestParameters()):
            pass


@pytest.fixture
def in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
    ):
        monkeypatch.setenv(name, value)
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


BEDROCK = ModelRoute(
    provider=Provider.BEDROCK,
    model="anthropic.claude-3-haiku-20240307-v1:0",
    input_usd_per_mtok=1.0,
    output_usd_per_mtok=2.0,
)


def bedrock() -> tuple[Model, Any]:
    """The model and its client, which has no types of its own."""
    model = connect(BEDROCK, "", timeout_s=7)
    return model, cast("Any", model).client


def stubbed(client: Any) -> Any:
    return cast("Any", Stubber)(client)


@pytest.mark.usefixtures("in_a_region")
def test_bedrock_answers_through_the_role_and_is_tried_once(toy: MakeBench) -> None:
    model, client = bedrock()
    assert client.meta.config.retries["total_max_attempts"] == 1
    assert client.meta.config.read_timeout == 7
    call = {"toolUse": {"toolUseId": "t1", "name": SUBMIT[0], "input": SUBMIT[1]}}
    answer = {
        "output": {"message": {"role": "assistant", "content": [call]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1_000, "outputTokens": 100, "totalTokens": 1_100},
        "metrics": {"latencyMs": 1},
    }
    here = toy(routes=(BEDROCK,))
    with stubbed(client) as stub:
        for _ in range(3):
            stub.add_response("converse", answer)
        bench = here.bench()
        ended = fix(bench, here.terms(bench, lambda _: model), here.redactor)
        stub.assert_no_pending_responses()
    assert ended.reason is StopReason.SUBMITTED
    assert here.meter.spent.usd_micros == 3 * 1_200


@pytest.mark.usefixtures("in_a_region")
@pytest.mark.parametrize(
    ("code", "status"), [("AccessDeniedException", 403), ("ThrottlingException", 429)]
)
def test_an_error_of_bedrock_names_model_and_status(toy: MakeBench, code: str, status: int) -> None:
    model, client = bedrock()
    here = toy(routes=(BEDROCK,))
    with stubbed(client) as stub:
        for _ in range(2):  # a throttled one is asked again
            stub.add_client_error("converse", code, "no", http_status_code=status)
        bench = here.bench()
        ended = fix(bench, here.terms(bench, lambda _: model), here.redactor)
    assert ended.reason is StopReason.MODEL_FAILED
    assert f"{BEDROCK.model}: HTTP {status}" in ended.message


@pytest.mark.usefixtures("in_a_region")
@pytest.mark.parametrize(
    "words",
    [
        "You don't have access to the model with the specified model ID.",
        "User: arn:aws:sts::123456789012:assumed-role/agents-job-us-east-1/0123456789abcdef is not "
        "authorized to perform: bedrock:InvokeModel on resource: "
        f"arn:aws:bedrock:us-east-1::foundation-model/{BEDROCK.model} because no identity-based "
        "policy allows the bedrock:InvokeModel action",
    ],
)
def test_a_role_that_may_not_ask_is_told_action_model_and_what_to_set(
    toy: MakeBench, words: str
) -> None:
    model, client = bedrock()
    here = toy(routes=(BEDROCK,))
    with stubbed(client) as stub:
        stub.add_client_error("converse", "AccessDeniedException", words, http_status_code=403)
        bench = here.bench()
        ended = fix(bench, here.terms(bench, lambda _: model), here.redactor)
    assert ended.reason is StopReason.MODEL_FAILED
    assert ended.message.startswith(
        f"The model failed: {BEDROCK.model}: HTTP 403: the job's AWS role may not call "
        "bedrock:InvokeModel for it (bedrock_models of the Terraform module)"
    )
    assert f": {words[:60]}" in ended.message


@pytest.mark.usefixtures("in_a_region")
def test_bedrock_is_asked_in_the_region_that_a_job_in_aws_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert bedrock()[1].meta.region_name == "eu-central-1"
    monkeypatch.delenv("AWS_REGION")
    assert bedrock()[1].meta.region_name == "us-east-1"


WHERE_FROM = (
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_BEARER_TOKEN_BEDROCK"),
    *(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI" for kind in ("RELATIVE", "FULL")),
)


@pytest.fixture
def nothing_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WHERE_FROM:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("nothing_of_aws")
def test_bedrock_without_a_region_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelUnusable, match="region") as refused:
        connect(BEDROCK, "", timeout_s=5)
    assert "AWS region" in refused.value.hint


@pytest.mark.usefixtures("nothing_of_aws")
def test_bedrock_without_credentials_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(ModelUnusable, match="credentials") as refused:
        connect(BEDROCK, "", timeout_s=5)
    assert "bedrock_models" in refused.value.hint
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "token")
    assert connect(BEDROCK, "", timeout_s=5).model_name == BEDROCK.model
