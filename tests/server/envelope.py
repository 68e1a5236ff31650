"""What every answer of every tool must be, whatever was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import CallToolResult, TextContent

MAX_CHARS = 8_000


async def output_schemas(client: Client) -> dict[str, dict[str, Any]]:
    tools = (await client.list_tools()).tools
    return {tool.name: tool.output_schema or {} for tool in tools}


def checked(result: CallToolResult, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, after it was held against the promises that hold for all of them."""
    text = result.content[0]
    assert isinstance(text, TextContent), result
    answer = result.structured_content
    assert answer is not None, text.text
    assert json.loads(text.text) == answer
    assert len(text.text) <= MAX_CHARS
    validator: Any = Draft202012Validator(dict(schema))
    assert not list(validator.iter_errors(answer))
    assert result.is_error is not answer["ok"]
    if answer["ok"]:
        assert answer["summary"]
        return answer
    problem = answer["error"]
    assert problem["code"]
    assert problem["message"]
    assert problem["hint"]
    return answer
