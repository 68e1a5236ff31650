"""From a route to a model of pydantic-ai, which sends each request once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import ModelRoute, Provider
from mcp_cloud_agents.worker.fix.engines.model import extra_missing

if TYPE_CHECKING:
    from pydantic_ai.models import Model

_OWN_URLS = {
    Provider.ANTHROPIC: "https://api.anthropic.com",
    Provider.OPENAI: "https://api.openai.com/v1",
    Provider.OPENAI_CHAT: "https://api.openai.com/v1",
}
_NO_KEY = "none"
"""For servers of one's own that want no key; the clients insist on one."""

_REGION = "AWS_REGION"
"""Told to every job in AWS; of all SDKs, Python's alone looks for AWS_DEFAULT_REGION instead."""
_BEARER_TOKEN = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105  a variable
"""Instead of credentials, where somebody has one."""


def connect(route: ModelRoute, key: str, *, timeout_s: float) -> Model:
    """Build the client of a route; nothing is sent.

    The address is always told, so that no variable of the environment sends a key elsewhere.

    Args:
        route: which model, where.
        key: the resolved key; empty: none.
        timeout_s: seconds that one request may take.

    Raises:
        ModelUnusable: it has no key, no name, AWS has no region or credentials, or a client is
            not installed.
    """
    if not route.model:
        raise ModelUnusable("A model has no name.", hint="Set `model` of each entry of fix.models.")
    if not key and not route.base_url and route.provider is not Provider.BEDROCK:
        raise ModelUnusable(
            f"The model {route.model!r} ({route.provider}) has no key.",
            hint="Set `key` of it, for example to env:ANTHROPIC_API_KEY.",
        )
    return _client(route, key or _NO_KEY, timeout_s)


def _client(route: ModelRoute, key: str, timeout_s: float) -> Model:
    try:
        match route.provider:
            case Provider.ANTHROPIC:
                return _anthropic(route, key)
            case Provider.OPENAI:
                return _openai(route, key)
            case Provider.OPENAI_CHAT:
                return _openai_chat(route, key)
            case Provider.BEDROCK:
                return _bedrock(route, timeout_s)
    except ImportError as exc:
        raise extra_missing() from exc


def _url(route: ModelRoute) -> str:
    return route.base_url or _OWN_URLS[route.provider]


def _anthropic(route: ModelRoute, key: str) -> Model:
    from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
    from pydantic_ai.providers.anthropic import AnthropicProvider

    settings = AnthropicModelSettings(
        max_retries=0,
        anthropic_cache_tool_definitions=True,
        anthropic_cache_instructions=True,
        anthropic_cache_messages=True,
    )
    provider = AnthropicProvider(api_key=key, base_url=_url(route))
    return AnthropicModel(route.model, provider=provider, settings=settings)


def _openai(route: ModelRoute, key: str) -> Model:
    from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
    from pydantic_ai.providers.openai import OpenAIProvider

    settings = OpenAIResponsesModelSettings(max_retries=0, openai_store=False)
    provider = OpenAIProvider(api_key=key, base_url=_url(route))
    return OpenAIResponsesModel(route.model, provider=provider, settings=settings)


def _openai_chat(route: ModelRoute, key: str) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.settings import ModelSettings

    provider = OpenAIProvider(api_key=key, base_url=_url(route))
    return OpenAIChatModel(route.model, provider=provider, settings=ModelSettings(max_retries=0))


def _bedrock(route: ModelRoute, timeout_s: float) -> Model:
    from botocore.exceptions import BotoCoreError
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    try:
        client = _bedrock_client(route, timeout_s)
    except BotoCoreError as exc:
        raise ModelUnusable(
            f"Bedrock cannot be asked for {route.model!r}: {exc}",
            hint="Give the job an AWS region and a role that may call bedrock:InvokeModel: in AWS "
            "by bedrock_models of the Terraform module.",
        ) from exc
    return BedrockConverseModel(route.model, provider=BedrockProvider(bedrock_client=client))


def _bedrock_client(route: ModelRoute, timeout_s: float) -> Any:
    """Of the region and the credentials of the job's environment, which are looked up here."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError

    environ = os.environ  # noqa: TID251  where a job in AWS finds its region, unlike its keys
    config = Config(
        read_timeout=timeout_s,
        connect_timeout=min(timeout_s, 10),
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    session: Any = cast("Any", boto3).Session(region_name=environ.get(_REGION) or None)
    client = session.client("bedrock-runtime", config=config, endpoint_url=route.base_url or None)
    if session.get_credentials() is None and not environ.get(_BEARER_TOKEN):
        raise NoCredentialsError
    return client
