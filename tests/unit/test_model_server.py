from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import anyio
import msgspec
import openai
import pytest
from pydantic_ai import Agent, AgentRunResult, RunContext
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelOverloadedError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    UnexpectedModelBehavior,
)
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from tests.model_server.script import Play, Script, Turn
from tests.model_server.server import ModelServer, model_server

pytestmark = pytest.mark.anyio

CALL = Turn(text="I add.", calls=(("add", {"one": 2, "two": 3}),), usage=(1_200, 80))
DONE = Turn(text="It is größer: 5.", usage=(1_300, 20))
FORMATS = ("anthropic", "responses", "chat")
HELLO: Any = [{"role": "user", "content": "hello"}]
# What pydantic-ai 2.62 raises on an answer of another shape than the format's.
GARBLED = (ModelAPIError, UnexpectedModelBehavior, ValueError, AttributeError, TypeError)
each_format = pytest.mark.parametrize("form", FORMATS)
each_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@pytest.fixture(name="server")
def a_server() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@asynccontextmanager
async def connected(form: str, url: str, timeout_s: float) -> AsyncGenerator[Model]:
    """A model of pydantic-ai on a client of the provider's own SDK."""
    once = ModelSettings(max_tokens=500, max_retries=0, request_timeout=timeout_s)
    if form == "anthropic":
        async with anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0) as client:
            provider = AnthropicProvider(anthropic_client=client)
            yield AnthropicModel("claude-haiku-4-5", provider=provider, settings=once)
        return
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        model = OpenAIResponsesModel if form == "responses" else OpenAIChatModel
        yield model("gpt-5-mini", provider=OpenAIProvider(openai_client=client), settings=once)


async def read_all(ctx: RunContext, events: AsyncIterable[object]) -> None:
    """Makes the library stream."""
    del ctx
    async for _ in events:
        pass


async def run(
    server: ModelServer, form: str, *turns: Turn, streamed: bool, timeout_s: float = 60
) -> AgentRunResult[str]:
    """Run an agent with one tool on these turns."""
    url = server.add("s", Script(turns=turns))
    async with connected(form, url, timeout_s) as model:
        agent = Agent(model, retries=2)

        @agent.tool_plain
        def add(one: int, two: int) -> int:  # pyright: ignore[reportUnusedFunction]  registered
            """Add."""
            return one + two

        return await agent.run("add", event_stream_handler=read_all if streamed else None)


@each_way
@each_format
async def test_an_agent_calls_a_tool_and_ends(
    server: ModelServer, form: str, streamed: bool
) -> None:
    result = await run(server, form, CALL, DONE, streamed=streamed)
    usage = result.usage
    assert (result.output, usage.input_tokens, usage.output_tokens) == (DONE.text, 2_500, 100)
    first, second = server.seen("s")
    assert (first.key, first.streamed, second.streamed) == ("k", streamed, streamed)
    assert "s0t0k0" not in first.text
    assert "s0t0k0" in second.text


@each_way
@each_format
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelRequestRejectedError),
        (401, ModelAuthenticationError),
        (429, ModelRateLimitError),
        (500, ModelServerError),
        (529, ModelOverloadedError),
    ],
)
async def test_errors_are_the_kind_that_belongs_to_them(
    server: ModelServer, form: str, streamed: bool, status: int, kind: type[Exception]
) -> None:
    with pytest.raises(ModelAPIError) as caught:
        await run(server, form, Turn(status=status, message="too much"), streamed=streamed)
    assert isinstance(caught.value, kind)
    assert "too much" in str(caught.value)
    assert len(server.seen("s")) == 1


@each_format
async def test_an_error_may_come_in_the_middle_of_a_stream(server: ModelServer, form: str) -> None:
    broken = Turn(text="It is", status=529, in_stream=True)
    with pytest.raises((ModelAPIError, UnexpectedModelBehavior)):
        await run(server, form, broken, streamed=True)


@each_way
@each_format
@pytest.mark.parametrize("drop", ["at_once", "half_way"])
async def test_a_dropped_connection_is_no_answer(
    server: ModelServer, form: str, streamed: bool, drop: str
) -> None:
    turn = msgspec.convert({"text": "It is", "drop": drop}, Turn)
    with pytest.raises((ModelAPIError, UnexpectedModelBehavior)):
        await run(server, form, turn, streamed=streamed)


@each_way
@each_format
async def test_a_delay_is_longer_than_a_deadline(
    server: ModelServer, form: str, streamed: bool
) -> None:
    with anyio.fail_after(60), pytest.raises(ModelAPIError):
        await run(server, form, Turn(delay=600), streamed=streamed, timeout_s=0.3)


@each_format
@pytest.mark.parametrize("raw", ["<html>busy</html>", '{"cut": ', "{}", "[]"])
async def test_garbage_is_sent_as_it_is(server: ModelServer, form: str, raw: str) -> None:
    with pytest.raises(GARBLED):
        await run(server, form, Turn(raw=raw), streamed=False)


@each_way
@each_format
async def test_a_refusal_is_told_as_one(server: ModelServer, form: str, streamed: bool) -> None:
    with pytest.raises(ContentFilterError):
        await run(server, form, Turn(stop="refusal"), streamed=streamed)


@each_format
async def test_arguments_that_are_no_json_reach_the_client(server: ModelServer, form: str) -> None:
    broken = Turn(calls=(("add", '{"one": 2, "two"'),))
    result = await run(server, form, broken, DONE, streamed=form == "anthropic")
    assert result.output == DONE.text


@each_format
async def test_usage_can_be_left_out(server: ModelServer, form: str) -> None:
    turn = msgspec.structs.replace(DONE, no_usage=True)
    if form == "anthropic":
        with pytest.raises((UnexpectedModelBehavior, AttributeError)):
            await run(server, form, turn, streamed=False)
        return
    result = await run(server, form, turn, streamed=False)
    assert (result.output, result.usage.output_tokens) == (DONE.text, 0)


def test_the_sdk_of_anthropic_reads_both_ways(server: ModelServer) -> None:
    url = server.add("s", Script(turns=(CALL,)))
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        whole = client.messages.create(model="m", max_tokens=9, messages=HELLO)
        with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert [block.type for block in message.content] == ["text", "tool_use"]
        assert (message.model, message.stop_reason) == ("m", "tool_use")
        assert (message.usage.input_tokens, message.usage.output_tokens) == (1_200, 80)
        last = message.content[-1]
        assert last.type == "tool_use"
        assert last.input == {"one": 2, "two": 3}


def test_the_sdk_of_openai_reads_responses_both_ways(server: ModelServer) -> None:
    url = server.add("s", Script(turns=(CALL,)))
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        whole = client.responses.create(model="m", input="hello")
        with client.responses.stream(model="m", input="hello") as stream:
            streamed = stream.get_final_response()
    for response in (whole, streamed):
        assert response.output_text == "I add."
        assert [item.type for item in response.output] == ["message", "function_call"]
        assert response.usage is not None
        assert response.usage.total_tokens == 1_280


def test_the_sdk_of_openai_reads_chat_both_ways(server: ModelServer) -> None:
    url = server.add("s", Script(turns=(CALL,)))
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        whole = client.chat.completions.create(model="m", messages=HELLO)
        with client.chat.completions.stream(
            model="m", messages=HELLO, stream_options={"include_usage": True}
        ) as stream:
            streamed = stream.get_final_completion()
    for completion in (whole, streamed):
        (choice,) = completion.choices
        assert (choice.message.content, choice.finish_reason) == ("I add.", "tool_calls")
        assert completion.usage is not None
        assert completion.usage.total_tokens == 1_280


def test_the_last_turn_is_said_again() -> None:
    play = Play(Script(turns=(CALL, DONE)))
    assert [play.next("").turn for _ in range(4)] == [CALL, DONE, DONE, DONE]


def test_conversations_are_told_apart_by_the_ids_in_their_history() -> None:
    other = Turn(calls=(("add", {"one": 0, "two": 0}),))
    play = Play(Script(conversations=((CALL, DONE), (other, DONE))))
    one, two = play.next("{}"), play.next("{}")
    assert (one.turn, two.turn) == (CALL, other)
    again = play.next(f'{{"id": "{two.call_id("toolu", 0)}"}}')
    assert (again.conversation, again.number, again.turn) == (1, 1, DONE)
    assert play.next(f'"{one.call_id("call", 0)}"').conversation == 0


def test_an_unknown_script_or_path_is_not_found(server: ModelServer) -> None:
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/nobody/v1") as client:
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="m", input="hello")
        with pytest.raises(openai.NotFoundError):
            client.post("/embeddings", cast_to=object, body={})


def test_the_program_serves_until_its_input_ends(tmp_path: Path) -> None:
    file = tmp_path / "scripts.toml"
    file.write_text('[[scripts.s.turns]]\ntext = "hello"\ncalls = [["add", {one = 1}]]\n')
    command = [sys.executable, "-m", "tests.model_server", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with anthropic.Anthropic(api_key="k", base_url=f"{url}/s") as client:
            message = client.messages.create(model="m", max_tokens=9, messages=HELLO)
        process.stdin.close()
        assert process.wait(30) == 0
    assert [block.type for block in message.content] == ["text", "tool_use"]
