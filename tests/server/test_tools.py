"""What `tools/list` says of each tool, in both protocol eras."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mcp.types import Tool, ToolAnnotations

from tests.server.conftest import House, Mode

pytestmark = pytest.mark.anyio

ORDER = (
    "run_tests_cloud",
    "fix_in_sandbox",
    "run_in_sandbox",
    "wait_job",
    "get_job",
    "list_jobs",
    "read_log",
    "get_artifact",
    "apply_patch",
    "cancel_job",
)
SUBMITS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
CANCELS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)
CHANGES = CANCELS
NEXT = {
    "run_tests_cloud": "wait_job(job_id, timeout_s=50)",
    "fix_in_sandbox": "wait_job(job_id, timeout_s=50)",
    "run_in_sandbox": "wait_job(job_id, timeout_s=50)",
    "wait_job": "call it again",
    "get_job": "wait_job",
    "list_jobs": "get_job or wait_job",
    "read_log": "as offset to read on",
    "get_artifact": "as offset to read on",
    "apply_patch": "Check first",
    "cancel_job": "wait_job",
}


async def listed(house: House, mode: Mode) -> list[Tool]:
    async with house.client(mode) as client:
        return (await client.list_tools()).tools


async def test_the_order_of_the_tools_never_changes(house: House, mode: Mode) -> None:
    for _ in range(2):
        assert tuple(tool.name for tool in await listed(house, mode)) == ORDER


async def test_names_are_short_and_plain(house: House, mode: Mode) -> None:
    for tool in await listed(house, mode):
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,49}", tool.name)
        assert tool.title


async def test_annotations_say_what_each_tool_really_does(house: House, mode: Mode) -> None:
    found = {tool.name: tool.annotations for tool in await listed(house, mode)}
    expected = dict.fromkeys(ORDER, READS) | {
        "run_tests_cloud": SUBMITS,
        "fix_in_sandbox": SUBMITS,
        "run_in_sandbox": SUBMITS,
        "apply_patch": CHANGES,
        "cancel_job": CANCELS,
    }
    assert found == expected


async def test_each_tool_is_found_by_the_words_a_model_searches(house: House, mode: Mode) -> None:
    for tool in await listed(house, mode):
        first = (tool.description or "").split(". ")[0]
        assert "job" in first, tool.name
        assert "cloud subagent" in first, tool.name


async def test_each_description_says_what_it_costs_and_what_to_call_next(
    house: House, mode: Mode
) -> None:
    for tool in await listed(house, mode):
        description = (tool.description or "").replace("\n", " ")
        assert "cost" in description, tool.name
        assert NEXT[tool.name] in description, tool.name
        assert len(description) < 1_200, tool.name


async def test_every_argument_says_its_unit_its_bounds_and_its_default(
    house: House, mode: Mode
) -> None:
    for tool in await listed(house, mode):
        for name, schema in tool.input_schema.get("properties", {}).items():
            words = schema["description"].lower()
            required = name in tool.input_schema.get("required", [])
            number = types_of(schema) & {"number", "integer"}
            assert required or number or "default" in words or name == "search", (tool.name, name)
            if number:
                assert re.search(r"\d+ to \d+|up to \d+|default|offset", words), (tool.name, name)
                assert re.search(r"second|minute|byte|how many|lines|dollar", words), (
                    tool.name,
                    name,
                )


def types_of(schema: dict[str, Any]) -> set[str]:
    branches = schema.get("anyOf", [schema])
    return {branch["type"] for branch in branches if "type" in branch}


async def test_schemas_are_closed_and_plain_enough_for_every_client(
    house: House, mode: Mode
) -> None:
    for tool in await listed(house, mode):
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert "$ref" not in str(tool.input_schema), tool.name
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
