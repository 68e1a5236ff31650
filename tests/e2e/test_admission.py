"""Through the front door: denied, too dear, paid for, waiting; what a model is told of each."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_cloud_agents.bootstrap.books import audit_for, ledger_for
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.budget import BudgetTable
from mcp_cloud_agents.domain.errors import NothingToApprove, UnknownJob
from mcp_cloud_agents.domain.job import JobState, next_states
from mcp_cloud_agents.domain.money import micros_of
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.governance.approval import GrantWish
from mcp_cloud_agents.governance.audit import Verified
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.ledger import Reservation, Scope, ScopeKind
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.asking import asks, call, client_of
from tests.contracts.places import ended, until
from tests.e2e.fix_jobs import fill
from tests.e2e.wire import Repository
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server
from tests.paid_house import ASK, MODEL, PERSON, WORST, PaidHouse, reservations

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
KEY = "sk-canary-7c2e9f04"
DENY = """\
[[rules]]
name = "no commands"
decision = "deny"
reason = "tests only"
[rules.when]
agent = "run_in_sandbox"
"""
CONFIG = """\
[budget]
job_usd = {job_usd}
month_usd = 3

[fix]
max_usd = 2
max_attempts = 1
written_tests = false

[[fix.models]]
provider = "anthropic"
model = "small"
base_url = "{url}"
key = "env:MCA_TEST_KEY"
input_usd_per_mtok = 10
output_usd_per_mtok = 10
"""
GOAL = {"goal": "double doubles", "test_command": "python3 -m unittest", "engine": "model"}


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


def configured(repository: Repository, models: ModelServer, *, job_usd: float) -> None:
    """A person whose model gives up after it was asked."""
    url = models.add("gives-up", Script(turns=(Turn(text="I cannot do this."),)))
    folder = Path(repository.env["HOME"], ".config", "mcp-cloud-agents")
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG.format(job_usd=job_usd, url=url))


def books_of(repository: Repository) -> list[Reservation]:
    """All reservations; the audit's chain is whole."""
    settings = load(repository.env, cwd=str(repository.path))
    assert isinstance(audit_for(settings).folder.verify(), Verified)
    ledger = ledger_for(settings)
    assert isinstance(ledger, SqliteLedger)
    return reservations(ledger)


def month_of(repository: Repository, held: Reservation) -> tuple[int, int]:
    """What is spent and open."""
    [key] = [one.scope.key for one in held.order.limits if one.scope.kind is ScopeKind.MONTH]
    ledger = ledger_for(load(repository.env, cwd=str(repository.path)))
    [found] = ledger.balances([Scope(kind=ScopeKind.MONTH, key=key)])
    assert found.room_micros == 3_000_000 - found.spent_micros - found.open_micros
    return found.spent_micros, found.open_micros


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_model_is_told_which_rule_denied_and_what_to_do(
    repository: Repository, mode: str
) -> None:
    asks(repository, DENY)
    async with client_of(repository, mode, None) as client:
        answer = await call(client, "run_in_sandbox", command="true")
        assert (answer["ok"], answer["error"]["code"]) == (False, "policy_denied")
        assert "'no commands' of a policy says no: tests only" in answer["error"]["message"]
        assert "let a person change it" in answer["error"]["hint"]
        assert (await call(client, "list_jobs"))["jobs"] == []
        answer = await call(client, "run_tests_cloud", command="python3 -m unittest", wait_s=50)
        assert answer["state"] == "succeeded"


async def test_a_fix_that_may_cost_too_much_is_refused_with_numbers(
    repository: Repository, models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCA_TEST_KEY", KEY)
    fill(repository)
    configured(repository, models, job_usd=1)
    async with client_of(repository, "auto", None) as client:
        answer = await call(client, "fix_in_sandbox", **GOAL)
        assert answer["error"]["code"] == "over_budget"
        assert "may cost 2 USD, and a job may cost 1 USD" in answer["error"]["message"]
        assert "budget.job_usd" in answer["error"]["hint"]
        assert (await call(client, "list_jobs"))["jobs"] == []
    assert (models.requests, books_of(repository)) == ([], [])


async def fixed(client: Client, **more: Any) -> dict[str, Any]:
    return await call(client, "fix_in_sandbox", idempotency_key="fix-7", **GOAL, **more)


@pytest.mark.slow
async def test_a_fix_is_settled_to_what_its_models_did_cost(
    repository: Repository, models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCA_TEST_KEY", KEY)
    fill(repository)
    configured(repository, models, job_usd=2)
    async with client_of(repository, "auto", None) as client:
        begun = await fixed(client)
        assert (begun["cost"]["worst_usd"], begun["cost"]["reserved_usd"]) == ("2", "2")
        job = begun["job_id"]
        assert (await fixed(client))["job_id"] == job
        [held] = books_of(repository)
        refused = await call(client, "fix_in_sandbox", fresh=True, **GOAL)
        assert "of this month has 1 USD left" in refused["error"]["message"]
        done = await call(client, "wait_job", job_id=job, timeout_s=50)
        assert done["done"], done
        spent = micros_of(Decimal(done["cost"]["actual_usd"]))
        assert 0 < spent < 1_000_000
        assert done["cost"]["reserved_usd"] == "0"
        assert month_of(repository, held) == (spent, 0)
        assert (await fixed(client))["job_id"] == job
    assert len(books_of(repository)) == 1
    assert models.requests


async def test_room_of_jobs_that_ended_unseen_is_found_by_the_next_submit(
    repository: Repository,
) -> None:
    """Two jobs of 0.1 USD in a month of 0.15: nobody looks at the first one's end."""
    house = PaidHouse(repository, budget=BudgetTable(month_usd=0.15))
    runner = house.runner()
    job = (await runner.submit(house.request("echo first"))).spec.id
    await until(house.place().backend, job, ended)
    assert held(house) == ["open"]
    await runner.submit(house.request("echo second"))
    assert len(held(house)) == 2
    assert "settled" in held(house)


# A job that waits


@pytest.fixture
def house(repository: Repository) -> PaidHouse:
    made = PaidHouse(repository)
    made.policy(ASK)
    return made


async def asked(house: PaidHouse, runner: JobRunner) -> Any:
    view = await runner.submit(house.request("echo ran", "k"))
    assert view.status.state is JobState.AWAITING_APPROVAL
    assert view.question is not None
    return view.spec.id


def held(house: PaidHouse) -> list[str]:
    return [one.state for one in house.check_books()]


async def test_a_job_that_waits_is_seen_by_everybody_and_says_nothing(house: PaidHouse) -> None:
    runner = house.runner()
    job = await asked(house, runner)
    for one in (runner, house.runner()):
        assert [record.spec.id for record in await one.latest(workspace=None, limit=9)] == [job]
        assert (await one.status(job)).state is JobState.AWAITING_APPROVAL
        assert (await one.log(job, offset=0, limit=99)).size == 0
        assert (await one.wait(job, timeout_s=0.1)).status.waiting
        assert [question.job_id for question in await one.questions()] == [job]
        with pytest.raises(UnknownJob):
            await one.artifact(job, "patch.diff", offset=0, limit=1)
    assert held(house) == ["open"]


async def test_a_yes_starts_the_job_and_whoever_waits_sees_it(house: PaidHouse) -> None:
    runner = house.runner()
    job = await asked(house, runner)
    view = await house.runner().answer(job, Answer.APPROVED, actor=PERSON)
    assert view.status.state in {JobState.QUEUED, *next_states(JobState.QUEUED), JobState.RUNNING}
    view = await runner.wait(job, timeout_s=60)
    assert (view.status.state, view.question) == (JobState.SUCCEEDED, None)
    assert held(house) == ["settled"]
    assert house.actions() == ["asked", "approved", "allowed", "settled"]
    assert await runner.questions() == ()


WAYS = {
    "no": "ada in a terminal said no: too dear",
    "cancel": "ada in a terminal said no: it was cancelled",
    "model": "codex 1.0 (cancel) said no: it was cancelled",
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_no_ends_the_job_unrun_and_tells_why(house: PaidHouse, way: str) -> None:
    runner = house.runner()
    job = await asked(house, runner)
    if way == "no":
        view = await runner.answer(job, Answer.DENIED, actor=PERSON, why="too dear")
    else:
        view = await runner.cancel(job, MODEL if way == "model" else PERSON)
    assert view.status.state is JobState.CANCELLED
    assert view.status.cause is not None
    assert view.status.cause.kind is CauseKind.NOT_APPROVED
    assert WAYS[way] in view.status.cause.message
    assert (view.money and view.money.actual_micros) == 0
    assert held(house) == ["released"]
    with pytest.raises(NothingToApprove, match="was denied already by "):
        await runner.answer(job, Answer.APPROVED, actor=PERSON)
    assert (await runner.submit(house.request("echo ran", "k"))).spec.id == job
    assert held(house) == ["released"]
    assert (await runner.cancel(job, MODEL)).status.state is JobState.CANCELLED


async def test_a_question_nobody_answers_frees_the_money_and_can_be_answered_later(
    house: PaidHouse,
) -> None:
    runner = house.runner()
    job = await asked(house, runner)
    view = await runner.hold(job, actor=MODEL, why="this client cannot ask")
    assert (view.status.state, held(house)) == (JobState.AWAITING_APPROVAL, ["released"])
    assert (await runner.submit(house.request("echo ran", "k"))).spec.id == job
    assert held(house) == ["released"]
    await runner.answer(job, Answer.APPROVED, actor=PERSON)
    assert (await runner.wait(job, timeout_s=60)).status.state is JobState.SUCCEEDED
    assert held(house) == ["settled"]


async def test_a_grant_that_comes_later_starts_what_was_put_off_with_its_money(
    house: PaidHouse,
) -> None:
    runner, request = house.runner(), house.request("sleep 600", "long")
    job = (await runner.submit(request)).spec.id
    await runner.hold(job, actor=MODEL, why="this client cannot ask")
    other = (await runner.submit(house.request("echo other", "other"))).spec.id
    grant = GrantWish(minutes=5, up_to_micros=WORST)
    await runner.answer(other, Answer.APPROVED, actor=PERSON, grant=grant)
    await runner.wait(other, timeout_s=60)
    assert sorted(held(house)) == ["released", "settled"]
    view = await runner.submit(request)
    assert (view.spec.id, view.question) == (job, None)
    assert sorted(held(house)) == ["open", "settled"]
    await runner.cancel(job, MODEL)
    assert (await runner.wait(job, timeout_s=60)).status.state is JobState.CANCELLED
    assert held(house) == ["settled", "settled"]


async def test_a_question_whose_time_is_up_cannot_be_approved(house: PaidHouse) -> None:
    runner = house.runner()
    job = await asked(house, runner)
    house.clock.moved_s = 3_600
    with pytest.raises(NothingToApprove, match="was expired already"):
        await runner.answer(job, Answer.APPROVED, actor=PERSON)
    view = await runner.look(job)
    assert view.status.state is JobState.CANCELLED
    assert view.status.cause is not None
    assert "Nobody agreed in time" in view.status.cause.message
    assert (held(house), house.actions()) == (["released"], ["asked", "expired"])


async def test_the_same_work_is_not_asked_about_twice(house: PaidHouse) -> None:
    runner = house.runner()
    job = await asked(house, runner)
    again = await runner.submit(house.request("echo ran"))
    assert again.spec.id == job
    assert "under way" in again.note
    assert held(house) == ["open"]
