"""Answers of every tool, good and bad, in both protocol eras."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.server.conftest import House, Mode
from tests.server.envelope import checked, output_schemas

pytestmark = pytest.mark.anyio
STATES = ("queued", "starting", "running", "collecting", "succeeded")
GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("wait_job", {"timeout_s": 0}),
    ("get_job", {}),
    ("list_jobs", {}),
    ("list_jobs", {"limit": 1, "all_workspaces": True}),
    ("read_log", {}),
    ("read_log", {"offset": 4, "limit": 5}),
    ("read_log", {"offset": 10**30}),
    ("read_log", {"tail_lines": 1}),
    ("read_log", {"search": "TWO", "context_lines": 1}),
    ("get_artifact", {"name": "patch.diff"}),
    ("get_artifact", {"name": "patch.diff", "offset": 10**30, "limit": -1}),
    ("cancel_job", {}),
)
BAD: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("run_tests_cloud", {"command": "a\0b"}, "invalid_argument"),
    ("run_tests_cloud", {"paths": ["/etc"]}, "invalid_argument"),
    ("run_tests_cloud", {"workspace": "/"}, "not_a_worktree"),
    ("run_in_sandbox", {}, "invalid_argument"),
    ("run_in_sandbox", {"command": " "}, "invalid_argument"),
    ("run_in_sandbox", {"command": "true", "timeout_minutes": 1e308}, "invalid_argument"),
    ("run_in_sandbox", {"command": "true", "timeout_minutes": "5"}, "invalid_argument"),
    ("wait_job", {"job_id": "jnone"}, "unknown_job"),
    ("get_job", {"job_id": "../x"}, "unknown_job"),
    ("list_jobs", {"workspace": "/nowhere"}, "not_a_worktree"),
    ("list_jobs", {"workspace": "a\0b"}, "not_a_worktree"),
    ("list_jobs", {"limit": 1e300}, "invalid_argument"),
    ("list_jobs", {"limit": True}, "invalid_argument"),
    ("read_log", {"job_id": "jnone"}, "unknown_job"),
    ("read_log", {"job_id": "jnone", "search": ""}, "invalid_argument"),
    ("get_artifact", {"job_id": "jnone", "name": "patch.diff"}, "unknown_job"),
    ("get_artifact", {"job_id": "jnone"}, "invalid_argument"),
    ("cancel_job", {"job_id": ""}, "unknown_job"),
)


def id_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("tool", "arguments"), GOOD, ids=id_of)
async def test_a_good_call_is_answered_by_its_schema(
    house: House, mode: Mode, ran: dict[str, Any], tool: str, arguments: dict[str, Any]
) -> None:
    job = {} if tool == "list_jobs" else {"job_id": ran["job_id"]}
    async with house.client(mode) as client:
        schemas = await output_schemas(client)
        answer = checked(await client.call_tool(tool, {**job, **arguments}), schemas[tool])
    assert answer["ok"], answer


@pytest.mark.parametrize(("tool", "arguments", "code"), BAD, ids=id_of)
async def test_a_bad_call_is_told_by_the_same_schema(
    house: House, mode: Mode, tool: str, arguments: dict[str, Any], code: str
) -> None:
    async with house.client(mode) as client:
        schemas = await output_schemas(client)
        answer = checked(await client.call_tool(tool, arguments), schemas[tool])
    assert (answer["ok"], answer["error"]["code"]) == (False, code)


async def test_an_argument_that_no_tool_knows_is_refused_by_all(house: House, mode: Mode) -> None:
    async with house.client(mode) as client:
        for tool in (await client.list_tools()).tools:
            answer = checked(
                await client.call_tool(tool.name, {"comand": "true"}), tool.output_schema or {}
            )
            assert answer["error"]["code"] == "invalid_argument"
            assert "comand" in answer["error"]["message"]
            for name in tool.input_schema.get("properties", {}):
                assert name in answer["error"]["hint"], tool.name


async def test_a_tool_that_does_not_exist_is_told_with_those_that_do(
    house: House, mode: Mode
) -> None:
    async with house.client(mode) as client:
        result = await client.call_tool("run_test_cloud", {})
    answer = checked(result, {})
    assert answer["error"]["code"] == "unknown_tool"
    assert "run_tests_cloud" in answer["error"]["hint"]


async def test_the_verdict_is_whole_in_the_answer_of_a_test_job(
    house: House, mode: Mode, tested: dict[str, Any]
) -> None:
    async with house.client(mode) as client:
        schemas = await output_schemas(client)
        result = await client.call_tool("get_job", {"job_id": tested["job_id"]})
        answer = checked(result, schemas["get_job"])
    assert (answer["state"], answer["verdict"]) == ("succeeded", "failed")
    assert answer["tests"]["counts"] == {
        **{"total": 2, "passed": 1, "failed": 1},
        **{"errors": 0, "skipped": 0, "missing": 0},
    }
    (failure,) = answer["tests"]["failures"]
    assert failure["at"] == "test_it.py:9"
    links = [block.uri for block in result.content[1:] if block.type == "resource_link"]
    assert links == [f"job://{tested['job_id']}/{name}" for name in ("log", "tests")]


async def test_pages_of_an_artifact_join_to_what_its_sha256_names(
    house: House, mode: Mode, ran: dict[str, Any]
) -> None:
    data, offset, size = b"", 0, 1
    async with house.client(mode) as client:
        while offset < size:
            asked = {"job_id": ran["job_id"], "name": "patch.diff", "offset": offset, "limit": 100}
            page = (await client.call_tool("get_artifact", asked)).structured_content
            assert page is not None
            text: str = page["content"]
            data += text.encode() if page["encoding"] == "utf-8" else base64.b64decode(text)
            offset, size = page["next_offset"], page["size"]
    assert hashlib.sha256(data).hexdigest() == ran["patch"]["sha256"]


async def test_a_waiting_call_tells_the_states_as_progress(house: House, mode: Mode) -> None:
    told: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        told.append((progress, message))

    async with house.client(mode) as client:
        asked = {"command": "sleep 0.3", "wait_s": 50, "fresh": True}
        result = await client.call_tool("run_in_sandbox", asked, progress_callback=on_progress)
    assert (result.structured_content or {})["state"] == "succeeded"
    assert [number for number, _ in told] == [float(n + 1) for n in range(len(told))]
    states = [message for _, message in told]
    assert states[-1] == "succeeded"
    assert "running" in states
    assert states == [state for state in STATES if state in states]
