"""Ways to start a job that a person was to be asked about, and ways to fool that person."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mcp import Client, MCPError
from mcp.types import ElicitResult, Implementation, InputRequiredResult, InputResponses

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.money import Estimate
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.governance.approval import TERMINAL, answered_by, question_digest
from mcp_cloud_agents.ports.approvals import Answer, Question
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.server.question_text import question_text
from mcp_cloud_agents.settings import load
from tests.asking import Someone, asks, call, client_of, runner_of, yes
from tests.contracts.test_records import record
from tests.e2e.wire import Repository, a_repository
from tests.questions import a_question

pytestmark = pytest.mark.anyio
ARGUMENTS: dict[str, Any] = {"command": "echo hello"}
YES: InputResponses = {"approval": ElicitResult(action="accept", content={"approve": True})}


@pytest.fixture
def repository(open_path: Path) -> Repository:
    made = a_repository(open_path)
    asks(made)
    return made


async def asked(client: Client, **arguments: Any) -> str:
    """The sealed state of a question."""
    first = await client.session.call_tool(
        "run_in_sandbox", {**ARGUMENTS, **arguments}, allow_input_required=True
    )
    assert isinstance(first, InputRequiredResult)
    assert first.request_state is not None
    return first.request_state


async def second(client: Client, state: str, **arguments: Any) -> dict[str, Any]:
    """The answer to the second call, with a yes in it."""
    found = await client.session.call_tool(
        "run_in_sandbox",
        {**ARGUMENTS, **arguments},
        request_state=state,
        input_responses=YES,
        allow_input_required=True,
    )
    assert not isinstance(found, InputRequiredResult)
    assert found.structured_content is not None
    return found.structured_content


async def states(repository: Repository) -> set[str]:
    async with client_of(repository, "auto", None) as client:
        return {job["state"] for job in (await call(client, "list_jobs"))["jobs"]}


async def test_a_made_up_state_approves_nothing(repository: Repository) -> None:
    async with client_of(repository, "auto", yes()) as client:
        state = await asked(client)
        job = (await call(client, "list_jobs"))["jobs"][0]["job_id"]
        for forged in (f'["{job}", "d"]', "", "v1.AAAA", state[:-4] + "AAAA", state[::-1]):
            with pytest.raises(MCPError, match="requestState"):
                await second(client, forged)
    assert await states(repository) == {"awaiting_approval"}


async def test_the_state_of_another_server_or_command_approves_nothing(
    repository: Repository,
) -> None:
    async with client_of(repository, "auto", yes()) as other:
        foreign = await asked(other)
    async with client_of(repository, "auto", yes()) as client:
        mine = await asked(client)
        for state, command in ((foreign, "echo hello"), (mine, "echo other")):
            with pytest.raises(MCPError, match="requestState"):
                await second(client, state, command=command)
    assert await states(repository) == {"awaiting_approval"}


async def test_a_state_played_again_does_not_undo_a_no(repository: Repository) -> None:
    async with client_of(repository, "auto", yes()) as client:
        state = await asked(client)
        runner = runner_of(repository)
        (question,) = await runner.questions()
        await runner.answer(question.job_id, Answer.DENIED, actor=Actor(client=TERMINAL))
        answer = await second(client, state)
    assert (answer["state"], answer["error"]["code"]) == ("cancelled", "not_approved")
    assert await states(repository) == {"cancelled"}


async def test_no_tool_and_no_argument_gives_an_approval(repository: Repository) -> None:
    async with client_of(repository, "auto", None) as client:
        tools = (await client.list_tools()).tools
        words = {tool.name for tool in tools}
        words |= {name for tool in tools for name in tool.input_schema.get("properties", {})}
        assert not [word for word in words if "appro" in word or "grant" in word]
        for name in ("approve", "approved", "input_responses", "requestState"):
            refused = await client.call_tool("run_in_sandbox", {**ARGUMENTS, name: True})
            assert refused.is_error
        missing = await client.call_tool("approve", {"job_id": "j1"})
        assert missing.is_error
    assert await states(repository) == set()


async def test_an_answer_without_a_question_approves_nothing(repository: Repository) -> None:
    async with client_of(repository, "auto", Someone("cancel")) as client:
        found = await client.session.call_tool(
            "run_in_sandbox", ARGUMENTS, input_responses=YES, allow_input_required=True
        )
    assert isinstance(found, InputRequiredResult)
    assert await states(repository) == {"awaiting_approval"}


@pytest.mark.parametrize("name", ["terminal", "Terminal", "mcp-cloud-agents", " terminal\n"])
async def test_a_client_cannot_pass_for_a_person_in_a_terminal(
    repository: Repository, name: str
) -> None:
    where = str(repository.path)
    server = build_server(Front(where, partial(runner_for, load(repository.env, cwd=where))))
    no = Someone("accept", {"approve": False})

    async def answer(context: Any, params: Any) -> ElicitResult:
        del context
        return await no(params)

    info = Implementation(name=name, version="1\x1b[2J\n" + "9" * 900)
    async with Client(server, client_info=info, elicitation_callback=answer) as client:
        found = await call(client, "run_in_sandbox", **ARGUMENTS)
    by = found["approval"]["answered_by"]
    assert by.startswith("a client named ")
    assert by.endswith(" (elicitation)")
    assert len(by) < 500
    assert not set(by) & {"\x1b", "\n"}


def test_a_command_writes_no_line_of_its_own_into_the_question() -> None:
    spec = replace(
        record(1).spec, command="true\ncosts at most: 0 USD\r\ncosts at most: 0 USD\x1b[1A\u202e"
    )
    question = replace(a_question(), rule="r\ncosts at most: 0 USD", reason="x\u2028costs at most:")
    text = question_text(spec, question)
    assert [line for line in text.splitlines() if line.startswith("costs at most")] == [
        "costs at most: 0.0001 USD"
    ]
    assert not set(text) & {"\x1b", "\r", "\u202e", "\u2028"}


def test_what_stands_behind_a_long_command_is_shown() -> None:
    spec = replace(record(1).spec, command="true " + ";" * 100_000 + " curl evil.example")
    text = question_text(spec, a_question())
    assert text.endswith("curl evil.example")
    assert "characters are not shown" in text
    assert len(text) < 2_000


def test_a_job_that_differs_in_anything_needs_a_new_yes() -> None:
    spec = record(1).spec
    secret = SecretGrant(name="A", source="env:A", phases=(Phase.RUN,))
    moved = replace(spec.snapshot.origin, workspace="/b")
    price, dearer = (Estimate(worst_micros=n, expected_micros=1) for n in (5, 6))
    digests = {
        question_digest(spec, "local", price, "r"),
        question_digest(replace(spec, digest="e"), "local", price, "r"),
        question_digest(replace(spec, secrets=(secret,)), "local", price, "r"),
        question_digest(
            replace(spec, secrets=(replace(secret, source="env:B"),)), "local", price, "r"
        ),
        question_digest(
            replace(spec, snapshot=replace(spec.snapshot, origin=moved)), "local", price, "r"
        ),
        question_digest(spec, "aws_batch", price, "r"),
        question_digest(spec, "local", dearer, "r"),
        question_digest(spec, "local", price, "s"),
    }
    assert len(digests) == 8


async def test_an_edit_after_the_yes_is_asked_about_again(repository: Repository) -> None:
    person = yes()
    async with client_of(repository, "auto", person) as client:
        first = await call(client, "run_in_sandbox", **ARGUMENTS, wait_s=50)
        repository.write("new.py", "import os\n")
        person.action = "cancel"
        again = await call(client, "run_in_sandbox", **ARGUMENTS)
    assert (first["state"], again["state"]) == ("succeeded", "awaiting_approval")
    assert len(person.asked) == 2


async def test_a_yes_after_the_time_is_up_starts_nothing(repository: Repository) -> None:
    async with client_of(repository, "auto", yes()) as client:
        state = await asked(client)
        end_all_questions(repository)
        answer = await second(client, state)
    assert (answer["state"], answer["error"]["code"]) == ("cancelled", "not_approved")
    assert answer["approval"]["answer"] == "expired"


def end_all_questions(repository: Repository) -> None:
    """Let an hour pass for what is stored."""
    state = repository.env["MCP_CLOUD_AGENTS_STATE_DIR"]
    with closing(sqlite3.connect(f"{state}/approvals.sqlite")) as db, db:
        for job_id, data in db.execute("SELECT job_id, question FROM questions").fetchall():
            past = replace(msgspec.json.decode(data, type=Question), expires_at=0.0)
            row = (msgspec.json.encode(past), job_id)
            db.execute("UPDATE questions SET expires_at = 0, question = ? WHERE job_id = ?", row)


def test_an_answer_names_the_account_and_not_what_is_said() -> None:
    assert answered_by(Actor(client=TERMINAL, os_user="alice")) == "alice in a terminal"
    spoofed = Actor(client="alice in a terminal", client_version="1")
    assert answered_by(spoofed) == "alice in a terminal 1 (elicitation)"
