"""What an error says of a secret that this process knows: nothing, in both of its forms."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest
from mcp import Client
from mcp.types import TextContent

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.governance.known_secrets import KnownSecrets
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front

pytestmark = pytest.mark.anyio
VALUE = 'canary "quoted" 7/1'


def fails() -> NoReturn:
    raise BadConfig(f"It holds {VALUE}.", hint=f"Take {VALUE} out.")


async def test_an_error_shows_no_secret_that_the_server_knows() -> None:
    known = KnownSecrets()
    known.remember([VALUE])
    server = build_server(Front("/", fails, redact=known.known))
    async with Client(server, mode="auto") as client:
        answer = await client.call_tool("list_jobs", {})
    [text] = answer.content
    assert isinstance(text, TextContent)
    assert answer.structured_content is not None
    assert answer.structured_content["error"] == {
        "code": "bad_config",
        "message": "It holds [redacted].",
        "hint": "Take [redacted] out.",
    }
    assert json.loads(text.text) == answer.structured_content
