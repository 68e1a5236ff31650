"""Any JSON as any argument of any tool: an envelope with an answer or an error, never less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mcp.types import CallToolResult

from tests.server.conftest import House
from tests.server.envelope import checked, output_schemas
from tests.server.test_tools import ORDER

Call = Callable[[str, dict[str, Any]], dict[str, Any]]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=40),
    st.sampled_from(["", " ", "\0", "..", "/", "a" * 5_000, '"' * 3_000, "\u2028", "\x1b[31m"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=60) | st.sampled_from(["true", "patch.diff", "one", "a" * 9_000]),
    "integer": st.integers(-3, 50) | st.integers(),
    "number": st.floats(0, 0.5) | st.floats(),
    "boolean": st.booleans(),
    "array": st.lists(st.text(max_size=20), max_size=4),
    "null": st.none(),
}


@pytest.fixture(scope="module")
def call(house: House) -> Iterator[Call]:
    """Calls a tool of one server and holds the answer against its promises."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(house.client("auto")) as client,
    ):
        schemas = portal.call(output_schemas, client)

        def checked_call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result: CallToolResult = portal.call(client.call_tool, tool, arguments)
            return checked(result, schemas[tool])

        yield checked_call


@pytest.fixture(scope="module")
def inputs(house: House) -> dict[str, dict[str, Any]]:
    """The input schema of every tool."""

    async def listed() -> dict[str, dict[str, Any]]:
        async with house.client("auto") as client:
            tools = (await client.list_tools()).tools
        return {tool.name: tool.input_schema["properties"] for tool in tools}

    with start_blocking_portal("asyncio") as portal:
        return portal.call(listed)


@st.composite
def arguments(draw: st.DrawFn, properties: dict[str, Any], job: str) -> dict[str, Any]:
    """Some arguments; each what its schema says, or anything at all."""
    found: dict[str, Any] = {}
    for name, schema in properties.items():
        types = [branch["type"] for branch in schema.get("anyOf", [schema])]
        likely = LIKELY[draw(st.sampled_from(types))]
        if name == "job_id" and draw(st.integers(0, 3)):
            likely = st.just(job)
        if draw(st.booleans()) or name in ("job_id", "command"):
            found[name] = draw(JSON if draw(st.integers(0, 9)) == 0 else likely)
    if draw(st.integers(0, 19)) == 0:
        found[draw(st.text(max_size=10))] = draw(JSON)
    return found


@pytest.mark.parametrize("tool", ORDER)
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_argument_gets_anything_but_an_envelope(
    call: Call, inputs: dict[str, Any], ran: dict[str, Any], tool: str, data: st.DataObject
) -> None:
    asked = data.draw(arguments(inputs[tool], ran["job_id"]))
    answer = call(tool, asked)
    if not answer["ok"]:
        assert answer["error"]["code"] != "internal", answer
    if tool.startswith("run_") and answer.get("job_id"):
        call("cancel_job", {"job_id": answer["job_id"]})
