"""A rule asks: what the client's person says decides, in both eras, and nothing else does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from mcp.types import ElicitRequestParams, ElicitResult, InputRequiredResult

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.errors import NothingToApprove
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.governance.approval import TERMINAL
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.server.answers import JobAnswer
from mcp_cloud_agents.server.calls import result_of
from mcp_cloud_agents.server.question_text import question_text
from mcp_cloud_agents.server.views import job_answer, links_of
from tests.asking import Person, Someone, asks, call, client_of, held_micros, runner_of, yes
from tests.e2e.wire import Repository, a_repository
from tests.server.conftest import Mode
from tests.server.envelope import checked, output_schemas
from tests.server.random_jobs import asked_jobs

pytestmark = pytest.mark.anyio
COMMAND = "echo hello"


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """Of these tests alone: their policy asks."""
    scratch = Path(tempfile.mkdtemp(prefix="mca-asking-")).resolve()
    scratch.chmod(0o711)
    made = a_repository(scratch)
    asks(made)
    yield made
    shutil.rmtree(scratch, ignore_errors=True)


async def submit(
    repository: Repository, mode: Mode, person: Person | None, *, ask_s: float = 45.0, **more: Any
) -> dict[str, Any]:
    """The answer to a command that is asked about; always another job."""
    async with client_of(repository, mode, person, ask_s=ask_s) as client:
        arguments = {"command": COMMAND, "fresh": True, **more}
        answer = await client.call_tool("run_in_sandbox", arguments)
        return checked(answer, (await output_schemas(client))["run_in_sandbox"])


def assert_waits(answer: dict[str, Any]) -> None:
    job = answer["job_id"]
    assert (answer["ok"], answer["state"], answer["done"]) == (True, "awaiting_approval", False)
    assert answer["approval"]["answer"] == "waiting"
    assert f"Ask the person to run: mcp-cloud-agents approve {job}" in answer["next"]
    assert "No tool can approve it" in answer["next"]
    assert answer["log"]["size"] == 0


async def test_a_yes_in_the_client_starts_exactly_that_job(
    repository: Repository, mode: Mode
) -> None:
    person = yes()
    answer = await submit(repository, mode, person, wait_s=50)
    assert (answer["state"], answer["exit_code"]) == ("succeeded", 0)
    assert len(person.asked) == 1
    for told in ("costs at most: 0 USD", "command: echo hello", "look first", answer["job_id"]):
        assert told in person.asked[0]


async def test_a_no_in_the_client_ends_the_job_unrun(repository: Repository, mode: Mode) -> None:
    person = Someone("accept", {"approve": False, "reason": "not today"})
    answer = await submit(repository, mode, person, wait_s=50)
    assert (answer["ok"], answer["state"]) == (False, "cancelled")
    assert answer["error"]["code"] == "not_approved"
    assert "not today" in answer["error"]["message"]
    assert answer["approval"]["answer"] == "denied"
    assert "(elicitation)" in answer["approval"]["answered_by"]


NO_ANSWERS: tuple[tuple[str, Any], ...] = (
    ("decline", None),
    ("cancel", None),
    ("decline", {"approve": True}),
    ("accept", None),
    ("accept", {"approve": "true"}),
    ("accept", {"approve": 1}),
    ("accept", {"reason": "yes"}),
    ("accept", {"approve": True, "reason": 7}),
)


async def test_whatever_is_no_answer_leaves_the_job_to_a_terminal(
    repository: Repository, mode: Mode
) -> None:
    person = Someone("cancel")
    async with client_of(repository, mode, person) as client:
        for person.action, person.content in NO_ANSWERS:
            person.asked.clear()
            assert_waits(await call(client, "run_in_sandbox", command=COMMAND, fresh=True))
            assert len(person.asked) == 1


async def test_a_client_that_cannot_ask_leaves_the_job_to_a_terminal(
    repository: Repository, mode: Mode
) -> None:
    assert_waits(await submit(repository, mode, None, wait_s=50))


async def test_no_money_is_held_once_nobody_answered(repository: Repository, mode: Mode) -> None:
    held: list[int] = []

    async def dismisses(_: ElicitRequestParams) -> ElicitResult:
        held.append(held_micros(repository))
        return ElicitResult(action="cancel")

    async with client_of(repository, mode, dismisses) as client:
        goal = {"goal": "make it pass", "engine": "model", "max_usd": 0.5, "fresh": True}
        answer = await call(client, "fix_in_sandbox", **goal)
    assert_waits(answer)
    assert answer["cost"] == {"estimate_usd": "0.25", "worst_usd": "0.5", "reserved_usd": "0"}
    assert (held, held_micros(repository)) == ([500_000], 0)


async def test_a_call_cancelled_while_it_asks_leaves_the_job_waiting(
    repository: Repository,
) -> None:
    asking = anyio.Event()

    async def thinks(_: ElicitRequestParams) -> ElicitResult:
        asking.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with client_of(repository, "legacy", thinks) as client:
        async with anyio.create_task_group() as group:
            goal = {"goal": "make it pass", "engine": "model", "fresh": True}
            group.start_soon(lambda: call(client, "fix_in_sandbox", **goal))
            await asking.wait()
            assert held_micros(repository) > 0
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            while held_micros(repository):  # noqa: ASYNC110  a file tells no event
                await anyio.sleep(0.02)
        (newest,) = (await call(client, "list_jobs", limit=1))["jobs"]
    assert newest["state"] == "awaiting_approval"


async def test_a_listener_hears_when_a_job_was_answered(repository: Repository) -> None:
    job = (await submit(repository, "auto", None))["job_id"]
    heard: set[str] = set()
    wanted = {f"job://{job}", f"job://{job}/log"}
    runner, actor = runner_of(repository), Actor(client=TERMINAL)
    async with client_of(repository, "auto", None) as client:
        with anyio.fail_after(30):
            async with client.listen(resource_subscriptions=sorted(wanted)) as events:
                await runner.answer(JobId(job), Answer.APPROVED, actor=actor)
                async for event in events:
                    heard.add(getattr(event, "uri", ""))
                    if f"job://{job}" in heard:
                        break
    assert heard <= wanted


async def test_of_two_people_who_answer_at_once_one_is_too_late(repository: Repository) -> None:
    job = JobId((await submit(repository, "auto", None))["job_id"])
    ended: list[str] = []

    async def person(answer: Answer) -> None:
        try:
            await runner_of(repository).answer(job, answer, actor=Actor(client=TERMINAL))
            ended.append(answer)
        except NothingToApprove as exc:
            ended.append(exc.code)

    async with anyio.create_task_group() as group:
        group.start_soon(person, Answer.APPROVED)
        group.start_soon(person, Answer.DENIED)
    assert len(ended) == 2
    assert ended.count("nothing_to_approve") == 1


@given(view=asked_jobs())
@settings(
    max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
def test_no_question_makes_an_answer_or_form_that_does_not_fit(view: JobView) -> None:
    told = checked(result_of(job_answer(view), links_of(view)), JobAnswer.model_json_schema())
    assert view.question is not None
    assert told["approval"]["answer"] == view.question.answer
    assert len(question_text(view.spec, view.question)) < 8_000


async def test_a_slow_person_finds_the_job_in_the_terminal(repository: Repository) -> None:
    async def slow(_: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    assert_waits(await submit(repository, "legacy", slow, ask_s=0.2))


async def test_a_terminal_that_answers_first_ends_the_question(repository: Repository) -> None:
    async def at_the_terminal(_: ElicitRequestParams) -> ElicitResult:
        runner = runner_of(repository)
        newest = (await runner.questions())[-1]
        await runner.answer(newest.job_id, Answer.APPROVED, actor=Actor(client=TERMINAL))
        await anyio.sleep_forever()
        raise AssertionError

    answer = await submit(repository, "legacy", at_the_terminal, wait_s=50)
    assert (answer["state"], answer["exit_code"]) == ("succeeded", 0)


async def test_a_no_after_a_yes_elsewhere_changes_nothing(
    repository: Repository, mode: Mode
) -> None:
    async def too_late(_: ElicitRequestParams) -> ElicitResult:
        runner = runner_of(repository)
        newest = (await runner.questions())[-1]
        await runner.answer(newest.job_id, Answer.APPROVED, actor=Actor(client=TERMINAL))
        return ElicitResult(action="accept", content={"approve": False})

    answer = await submit(repository, mode, too_late, wait_s=50)
    assert (answer["state"], answer["exit_code"]) == ("succeeded", 0)


async def test_the_second_call_finds_the_stored_job_and_starts_no_other(
    repository: Repository,
) -> None:
    async with client_of(repository, "auto", yes()) as client:
        arguments = {"command": COMMAND, "fresh": True}
        first = await client.session.call_tool(
            "run_in_sandbox", arguments, allow_input_required=True
        )
        assert isinstance(first, InputRequiredResult)
        before = await call(client, "list_jobs")
        second = await client.session.call_tool(
            "run_in_sandbox",
            arguments,
            request_state=first.request_state,
            input_responses={"approval": ElicitResult(action="accept", content={"approve": True})},
            allow_input_required=True,
        )
        after = await call(client, "list_jobs")
    assert not isinstance(second, InputRequiredResult)
    assert second.structured_content is not None
    assert [job["job_id"] for job in before["jobs"]] == [job["job_id"] for job in after["jobs"]]
    assert second.structured_content["job_id"] == before["jobs"][0]["job_id"]
    assert second.structured_content["state"] != "awaiting_approval"


async def test_asking_again_with_the_same_key_asks_about_the_same_job(
    repository: Repository,
) -> None:
    key = "same again"
    first = await submit(repository, "auto", Someone("cancel"), idempotency_key=key, fresh=False)
    again = await submit(repository, "auto", yes(), idempotency_key=key, fresh=False, wait_s=50)
    assert again["job_id"] == first["job_id"]
    assert again["state"] == "succeeded"


async def test_waiting_for_a_job_that_waits_for_a_person_says_so(
    repository: Repository,
) -> None:
    answer = await submit(repository, "auto", None)
    async with client_of(repository, "auto", None) as client:
        assert_waits(await call(client, "wait_job", job_id=answer["job_id"], timeout_s=0.1))
        assert_waits(await call(client, "get_job", job_id=answer["job_id"]))


async def test_a_job_that_is_approved_while_waited_for_is_followed_to_its_end(
    repository: Repository,
) -> None:
    job = (await submit(repository, "auto", None))["job_id"]
    answer: dict[str, Any] = {}
    async with client_of(repository, "auto", None) as client, anyio.create_task_group() as group:
        runner, actor = runner_of(repository), Actor(client=TERMINAL)
        group.start_soon(lambda: runner.answer(JobId(job), Answer.APPROVED, actor=actor))
        answer = await call(client, "wait_job", job_id=job, timeout_s=50)
    assert (answer["done"], answer["exit_code"]) == (True, 0)


async def test_a_cancelled_job_that_waited_is_done_and_never_ran(
    repository: Repository,
) -> None:
    job = (await submit(repository, "auto", None))["job_id"]
    async with client_of(repository, "auto", None) as client:
        cancelled = await call(client, "cancel_job", job_id=job)
        waited = await call(client, "wait_job", job_id=job, timeout_s=50)
    for answer in (cancelled, waited):
        assert (answer["state"], answer["error"]["code"]) == ("cancelled", "not_approved")
